from itertools import pairwise

import pytest

from agenttrain.env.corridor import Corridor
from agenttrain.errors import UserError
from agenttrain.types import Environment, Episode, Task

ON, BACK, FIRST, STAY = ITEMS = ("key", "net", "nail", "glue")
"""What the items do in every room of the task below, in a corridor of loops."""


def task(rooms=3):
    return Task("t", [], data={"corridor": "d", "items": list(ITEMS), "ways": [list(ITEMS)] * rooms})


def use(item):
    return {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "use", "arguments": {"item": item}}}]}


def play(kind, *items, cells=2, slack=4.0, seed=0, rooms=3):
    episode = Corridor(kind, cells, slack).episode(task(rooms), seed)
    return [episode.step(use(item)) for item in items]


def told(steps):
    return [step.messages[0]["content"] for step in steps]


def test_the_right_items_lead_to_the_end():
    env = Corridor(slack=2)
    episode = env.episode(task(), seed=0)
    assert isinstance(env, Environment)
    assert isinstance(episode, Episode)
    assert episode.start() == [{"role": "user", "content": "in d1"}]
    steps = [episode.step(use(ON)) for _ in range(3)]
    assert told(steps) == ["in d2", "in d3", "the end"]
    assert [step.reward for step in steps] == [0, 0, 1]
    assert [step.done for step in steps] == [False, False, True]
    assert steps[0].feedback == {"moved": "on", "right": True, "steps_left": 5}
    assert steps[-1].feedback == {"moved": "on", "right": True, "steps_left": 3, "success": True}


def test_in_loops_the_wrong_items_lead_back_to_the_start_and_nowhere():
    steps = play("loops", BACK, ON, STAY, ON, BACK, ON, FIRST)
    assert told(steps) == ["in d1", "in d2", "in d2", "in d3", "in d2", "in d3", "in d1"]
    assert [step.feedback["moved"] for step in steps] == ["back", "on", "stay", "on", "back", "on", "first"]
    assert [step.feedback["right"] for step in steps] == [False, True, False, True, False, True, False]
    states = [step.state for step in steps]
    assert states == ["d1", "d1", "d2", "d2", "d3", "d2", "d3"]


@pytest.mark.parametrize("wrong", [BACK, FIRST, STAY])
def test_a_fog_is_avoided_by_the_right_item_and_entered_by_any_other(wrong):
    assert told(play("fog", ON, ON, ON)) == ["in d2", "in d3", "the end"]
    steps = play("fog", wrong, ON, wrong, wrong)
    assert told(steps) == ["in fog", "in fog", "in d2", "in fog"]
    assert [step.state for step in steps] == ["d1", "d1, fog 2", "d1, fog 1", "d2"]
    assert [step.feedback.get("right") for step in steps] == [False, None, None, False]


def test_the_last_fog_ends_at_the_end():
    assert told(play("fog", ON, ON, STAY, ON, ON))[-1] == "the end"


def test_a_fog_to_be_crossed_lies_behind_the_right_item_and_wrong_ones_lead_nowhere():
    steps = play("crossing", BACK, FIRST, STAY, ON, STAY, BACK)
    assert told(steps) == ["in d1"] * 3 + ["in fog"] * 2 + ["in d2"]


def test_what_is_done_in_fog_does_not_matter():
    assert len({tuple(told(play("fog", BACK, item, item, item))[:3]) for item in ITEMS}) == 1


def test_luck_lets_wrong_items_through_in_half_of_the_cases_and_never_harms_the_right_one():
    moved = [play("luck", STAY, seed=seed)[0].feedback["moved"] for seed in range(400)]
    assert 0.43 < moved.count("on") / 400 < 0.57
    assert set(moved) == {"on", "fog"}
    assert all(play("luck", ON, seed=seed)[0].feedback["moved"] == "on" for seed in range(50))


def test_luck_depends_on_the_seed_and_on_what_was_done():
    def fates(seed):
        return [play("luck", first, STAY, seed=seed)[-1].feedback["moved"] for first in ITEMS]

    assert [fates(seed) for seed in range(20)] == [fates(seed) for seed in range(20)]
    assert any(len(set(fates(seed))) > 1 for seed in range(20))  # attempts of a group differ


@pytest.mark.parametrize("kind", ["fog", "luck"])
def test_no_state_comes_twice_where_nothing_leads_back(kind):
    states = [step.state for seed in range(20) for step in play(kind, *[STAY, BACK, ON] * 3, seed=seed, rooms=9)]
    assert all(before != after for before, after in pairwise(states))
    one = [step.state for step in play(kind, *[STAY, BACK, ON] * 3, rooms=9)]
    assert len(set(one)) == len(one)


@pytest.mark.parametrize(("kind", "budget"), [("loops", 5), ("fog", 5), ("luck", 5), ("crossing", 14)])
def test_the_budget_ends_the_episode(kind, budget):
    episode = Corridor(kind, cells=2, slack=1.5).episode(task(), seed=0)  # fewest: 3, or 9 with a fog in each room
    steps = [episode.step(use("none")) for _ in range(budget)]
    assert [step.done for step in steps] == [False] * (budget - 1) + [True]
    assert steps[-1].feedback["success"] is False
    assert not any("success" in step.feedback for step in steps[:-1])


@pytest.mark.parametrize("action", [{"role": "assistant", "content": "I think..."}, use("moon"), use(3)])
def test_a_malformed_call_is_answered_costs_a_step_and_changes_nothing(action):
    episode = Corridor(slack=4).episode(task(), seed=0)
    step = episode.step(action)
    assert step.feedback["invalid_call"]
    assert step.feedback["steps_left"] == 11
    assert step.messages[0]["content"].endswith(" in d1")


def test_a_foreign_task_or_an_impossible_setting_is_told():
    with pytest.raises(UserError, match="task=corridor"):
        Corridor().episode(Task("q", []), seed=0)
    with pytest.raises(UserError, match="slack"):
        Corridor(slack=0.9)
    with pytest.raises(UserError, match="loops, fog, crossing, luck"):
        Corridor("maze")
