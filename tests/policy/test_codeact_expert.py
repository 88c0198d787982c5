"""The scripted teacher errs by its seed and corrects itself (without errors: tests/env/test_codeact.py)."""

import pytest

from agenttrain.env.codeact import Codeact
from agenttrain.errors import UserError
from agenttrain.policy.codeact_expert import CodeactExpert
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.task.codeact import Codeact as CodeactTasks
from agenttrain.types import Conversation


@pytest.mark.parametrize("actions", ["code", "json"])
def test_it_errs_in_every_way_and_corrects_most(actions):
    env = Codeact(actions, max_steps=12)
    try:
        env.sandbox.start_now()
    except UserError as error:
        pytest.skip(f"no sandbox holds here: {error}")
    tasks = attempts(CodeactTasks(n=40, items=[2]))
    episodes = list(rollout(tasks, env, CodeactExpert(error=0.3), Limits(concurrency=8)))
    env.sandbox.close()
    assert len(episodes) == 40
    assert sum(episode.success for episode in episodes) > 25
    facts = [turn.observation.feedback for episode in episodes for turn in episode.turns]
    assert any(fact.get("solutions") == 2 for fact in facts)
    assert any("you wrote neither" in fact.get("invalid_call", "") for fact in facts)
    if actions == "code":
        assert {fact.get("tool_error") for fact in facts} == {None, "NameError"}
        late = [turn for episode in episodes for turn in episode.turns if "print(results)" in said(turn)]
        assert late
        assert all(said_back(turn).split("\n")[1].isdigit() for turn in late)
    else:
        assert any("Unknown tool 'get_" in fact.get("invalid_call", "") for fact in facts)


def said(turn):
    return turn.action.message["content"]


def said_back(turn):
    return turn.observation.messages[0]["content"]


def test_equal_seeds_err_alike_and_other_tasks_are_refused():
    task = next(iter(CodeactTasks()))
    system = {"role": "system", "content": "Python"}

    def act(seed):
        return CodeactExpert(error=0.5).act(Conversation("1", [system, *task.messages], [], seed))["content"]

    assert [act(seed) for seed in range(20)] == [act(seed) for seed in range(20)]
    assert len({act(seed) for seed in range(20)}) > 2
    with pytest.raises(UserError, match="invented questions"):
        CodeactExpert().act(Conversation("1", [system, {"role": "user", "content": "Who?"}], [], 0))
