import pytest

from agenttrain.errors import UserError
from agenttrain.policy.code_expert import CodeExpert, read_task
from agenttrain.task.code import Code
from agenttrain.types import Conversation
from agenttrain.worlds.list_steps import program


def act(task, policy, turn=0, seed=0):
    policy.submit(Conversation(task.id, task.messages, [], seed, turn))
    ((_, action),) = policy.poll(0)
    if isinstance(action, Exception):
        raise action
    return action.message["tool_calls"][0]["function"]


@pytest.mark.parametrize("split", ["train", "heldout", "unseen"])
def test_it_tries_the_example_and_submits_a_program_that_is_right(split):
    for task in Code(split, n=50):
        tried, given = act(task, CodeExpert()), act(task, CodeExpert(), turn=1)
        assert (tried["name"], given["name"]) == ("python", "submit")
        names = {}
        exec(given["arguments"]["code"], names)
        assert all(names["solve"](list(*c["arguments"])) == c["expected"] for c in task.answer["calls"])
        assert tried["arguments"]["code"].startswith(given["arguments"]["code"])
        example = tried["arguments"]["code"].splitlines()[-1]
        assert f"Example: {example} returns {eval(example, names)}." in task.messages[1]["content"]


def test_a_mistake_leaves_a_step_out():
    task = next(iter(Code()))
    steps, _ = read_task(task.messages[1]["content"])
    given = act(task, CodeExpert(error=1.0), turn=1)["arguments"]["code"]
    assert given in [program(steps[:gap] + steps[gap + 1 :]) for gap in range(len(steps))]
    assert act(task, CodeExpert(error=1.0), turn=1)["arguments"]["code"] == given


def test_other_tasks_are_refused():
    task = next(iter(Code()))
    task.messages[1]["content"] = "Write a poem."
    with pytest.raises(UserError, match="invented tasks"):
        act(task, CodeExpert())
