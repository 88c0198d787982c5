import pytest

from agenttrain.env.craft import Craft
from agenttrain.errors import UserError
from agenttrain.policy.craft_expert import CraftExpert
from agenttrain.task.craft import DEPTHS
from agenttrain.task.craft import Craft as CraftTasks
from agenttrain.types import Conversation
from agenttrain.worlds.crafting import owed, shortage


def play(task, policy, slack=1.25, seed=0):
    """The finished conversation and its last observation."""
    episode = Craft(slack).episode(task, seed)
    conversation = Conversation(task.id, list(episode.start()), episode.tools, seed)
    while True:
        policy.submit(conversation)
        ((_, action),) = policy.poll(0)
        observation = episode.step(action.message)
        conversation.messages += [action.message, *observation.messages]
        conversation.turn += 1
        if observation.done:
            return conversation, observation


@pytest.mark.parametrize("world", [0, 1, 2])
@pytest.mark.parametrize("split", DEPTHS)
def test_it_solves_every_task_in_the_optimal_number_of_steps(split, world):
    for task in CraftTasks(split, n=100, world=world):
        conversation, observation = play(task, CraftExpert(), slack=1)
        assert observation.feedback["success"]
        assert conversation.turn == task.data["optimal"]


def test_its_every_step_is_owed_whatever_the_inventory():
    for number, task in enumerate(CraftTasks("deep", n=20)):
        goal, recipes = task.data["goal"], task.data["recipes"]
        items = [name for name in owed(recipes, goal, {}) if name != goal]
        for count in range(4):
            inventory = {name: count for place, name in enumerate(items) if count and (place + number) % 3}
            assert shortage(recipes, goal, inventory)[-1] in owed(recipes, goal, inventory)


def test_the_same_seed_errs_alike_and_another_does_not():
    task = next(iter(CraftTasks("train", 1, depth=[4])))
    runs = [play(task, CraftExpert(error=0.5), seed=seed)[0].messages for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_errors_cost_success():
    tasks = list(CraftTasks("train", n=100))

    def rate(error):
        policy = CraftExpert(error)
        return sum(play(t, policy, seed=i)[1].feedback["success"] for i, t in enumerate(tasks)) / len(tasks)

    assert rate(0) == 1
    assert 0.3 < rate(0.3) < 0.8
    assert rate(1) < 0.05


def test_it_finds_the_inventory_behind_a_refused_second_call():
    task = next(iter(CraftTasks("train", 1, depth=[2])))
    policy = CraftExpert()
    conversation = Conversation("c", list(task.messages), [], 0)
    expected = policy.act(conversation)
    conversation.messages.append({"role": "tool", "content": "Not executed: one call a turn."})
    assert policy.act(conversation) == expected


def test_a_foreign_task_or_no_probability_is_told():
    with pytest.raises(UserError, match="task=craft"):
        CraftExpert().act(Conversation("c", [{"role": "user", "content": "Who wrote it?"}], [], 0))
    with pytest.raises(UserError, match="probability"):
        CraftExpert(error=1.5)
