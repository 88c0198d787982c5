from collections import Counter

import pytest

from agenttrain.env.corridor import Corridor
from agenttrain.errors import UserError
from agenttrain.policy.corridor_expert import CorridorExpert
from agenttrain.rollout import attempts, rollout
from agenttrain.task.corridor import Corridor as CorridorTasks
from agenttrain.types import Conversation


def play(policy, kind="loops", slack=2.5, per_task=1, **tasks):
    return list(rollout(attempts(CorridorTasks(**tasks), per_task), Corridor(kind, cells=2, slack=slack), policy))


@pytest.mark.parametrize("split", ["train", "heldout"])
@pytest.mark.parametrize(("kind", "fewest"), [("loops", 12), ("fog", 12), ("luck", 12), ("crossing", 36)])
def test_it_reaches_every_end_in_the_fewest_steps(kind, fewest, split):
    played = play(CorridorExpert(seed=2), kind, slack=1, n=5, split=split, seed=2, rooms=12, items=6)
    assert [len(trajectory.turns) for trajectory in played] == [fewest] * 5
    assert all(trajectory.success for trajectory in played)


def test_it_knows_the_corridors_of_one_seed_alone():
    assert not all(trajectory.success for trajectory in play(CorridorExpert(seed=1), seed=2))


def test_errors_cost_success():
    def rate(error):
        return sum(trajectory.success for trajectory in play(CorridorExpert(error), per_task=12)) / 96

    assert rate(0) == 1
    assert 0.05 < rate(0.6) < 0.4
    assert rate(1) < 0.05


def test_it_knows_every_second_room_and_uses_random_items_in_the_others():
    right: dict[int, list[bool]] = {}
    for trajectory in play(CorridorExpert(knows=0.5), slack=6, per_task=8):
        for turn in trajectory.turns:
            right.setdefault(int(turn.observation.state[1:]), []).append(turn.observation.feedback["right"])
    assert all(all(right[number]) for number in (2, 4, 6, 8))
    assert all(sum(right[number]) < 0.5 * len(right[number]) for number in (1, 3, 5, 7))


def test_in_fog_it_uses_any_item():
    turns = [turn for trajectory in play(CorridorExpert(), "crossing", per_task=3) for turn in trajectory.turns]
    foggy = [turn for turn in turns if "right" not in turn.observation.feedback]
    used = Counter(turn.action.message["tool_calls"][0]["function"]["arguments"]["item"] for turn in foggy)
    assert len(used) == 4
    assert max(used.values()) < 0.35 * len(foggy)


def test_it_finds_the_room_behind_an_answer_to_a_malformed_call():
    task = next(iter(CorridorTasks()))
    tools = Corridor().episode(task, 0).tools
    conversation = Conversation("c", [*task.messages, {"role": "tool", "content": "in a3"}], tools, 0)
    expected = CorridorExpert().act(conversation)
    conversation.messages[-1] = {"role": "tool", "content": "use: missing argument 'item'. in a3"}
    assert CorridorExpert().act(conversation) == expected


def test_a_foreign_task_or_an_impossible_share_is_told():
    with pytest.raises(UserError, match="task=corridor"):
        CorridorExpert().act(Conversation("c", [{"role": "user", "content": "Who wrote it?"}], [], 0))
    for wrong in ({"error": 1.5}, {"knows": -0.1}):
        with pytest.raises(UserError, match="from 0 to 1"):
            CorridorExpert(**wrong)
