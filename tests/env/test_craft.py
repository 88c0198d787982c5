import pytest

from agenttrain.env.craft import Craft
from agenttrain.env.tools import tool
from agenttrain.errors import UserError
from agenttrain.types import Environment, Episode, Task

RECIPES = {"leg": {"makes": 2, "of": {"log": 1}}, "table": {"makes": 1, "of": {"leg": 3, "clay": 1}}}


def task(inventory=None, goal="table"):
    data = {"goal": goal, "inventory": inventory or {}, "recipes": RECIPES, "optimal": 6}
    return Task("t", [{"role": "user", "content": "Make a table."}], data=data)


def calls(name, **arguments):
    return {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": name, "arguments": arguments}}]}


def play(episode, *actions):
    return [episode.step(calls(name, item=item)) for name, item in (action.split() for action in actions)]


def test_the_shortest_way_succeeds():
    env = Craft(slack=1)
    episode = env.episode(task(), seed=0)
    assert isinstance(env, Environment)
    assert isinstance(episode, Episode)
    assert episode.start() == task().messages
    steps = play(episode, "get log", "get clay", "craft leg", "get log", "craft leg", "craft table")
    assert [step.messages[0]["content"] for step in steps] == [
        "You have: 1 log.",
        "You have: 1 clay, 1 log.",
        "You have: 1 clay, 2 leg.",
        "You have: 1 clay, 2 leg, 1 log.",
        "You have: 1 clay, 4 leg.",
        "You have: 1 leg, 1 table.",
    ]
    assert [step.reward for step in steps] == [0, 0, 0, 0, 0, 1]
    assert [step.done for step in steps] == [False] * 5 + [True]
    assert steps[0].feedback == {"gathered": "log", "needed": True, "steps_left": 5}
    assert steps[-1].feedback == {"crafted": "table", "needed": True, "steps_left": 0, "success": True}


def test_a_step_beyond_need_is_told_apart():
    steps = play(Craft().episode(task(), seed=0), "get clay", "get clay", "get log", "get log", "get log")
    assert [step.feedback["needed"] for step in steps] == [True, False, True, True, False]


@pytest.mark.parametrize(
    ("action", "problem"),
    [
        ("craft table", "Cannot craft table: missing 1 clay, 1 leg."),
        ("get leg", "Cannot get leg: craft it."),
        ("craft log", "Cannot craft log: get it."),
        ("get moon", "Cannot get moon: not in the recipes."),
    ],
)
def test_what_cannot_be_done_is_answered_and_changes_nothing(action, problem):
    (step,) = play(Craft().episode(task({"leg": 2}), seed=0), action)
    assert step.messages[0]["content"] == f"{problem} You have: 2 leg."
    assert step.feedback == {"tool_error": problem, "needed": False, "steps_left": 7}


@pytest.mark.parametrize(
    "action",
    [
        {"role": "assistant", "content": "I think..."},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "assistant", "tool_calls": [{}]},
        calls("smash", item="log"),
        calls("get"),
        calls("get", item=3),
        calls("get", item="log", count=2),
        {"role": "assistant", "tool_calls": [{"function": {"name": "get", "arguments": "log"}}]},
    ],
)
def test_a_malformed_call_is_answered_and_costs_a_step(action):
    step = Craft().episode(task({"log": 1}), seed=0).step(action)
    assert step.feedback["invalid_call"]
    assert step.feedback["steps_left"] == 7
    assert step.messages[0]["content"].endswith(" You have: 1 log.")
    assert not step.done


def test_the_budget_ends_the_episode():
    episode = Craft(slack=1.25).episode(task(), seed=0)  # 1.25 * 6 = 7.5
    steps = play(episode, *["get log"] * 8)
    assert [step.done for step in steps] == [False] * 7 + [True]
    assert steps[-1].feedback["success"] is False
    assert not any("success" in step.feedback for step in steps[:-1])
    assert sum(step.reward for step in steps) == 0


def test_states_are_equal_where_goal_and_inventory_are():
    def reached(*actions, **where):
        episode = Craft(slack=9).episode(task(**where), seed=0)
        return play(episode, *actions, "get log")[-1].state

    assert reached("get log", "get clay") == reached("get clay", "get log")
    assert reached("craft table") == reached()  # an error leaves the state as it was
    assert reached("get log") == reached(inventory={"log": 1})
    states = [reached(), reached("get log"), reached("get log", "get log"), reached("get clay"), reached(goal="leg")]
    assert len(set(states)) == len(states)


def test_a_state_is_the_one_acted_in():
    first, second = play(Craft().episode(task(), seed=0), "get log", "get log")
    assert first.state == "table: nothing"
    assert second.state == "table: 1 log"


def test_episodes_of_one_task_do_not_share_items():
    shared = task({"log": 1})
    play(Craft().episode(shared, seed=0), "get log")
    assert shared.data["inventory"] == {"log": 1}


def test_the_tools_have_one_argument_each():
    names = {t["function"]["name"]: t for t in Craft().episode(task(), seed=0).tools}
    assert set(names) == {"get", "craft"}
    assert names["get"] == tool("get", names["get"]["function"]["description"], item={"type": "string"})


def test_a_foreign_task_or_a_short_budget_is_told():
    with pytest.raises(UserError, match="task=craft"):
        Craft().episode(Task("q", []), seed=0)
    with pytest.raises(UserError, match="slack"):
        Craft(slack=0.9)


def test_hints_name_what_is_short_and_are_the_whole_difference():
    plain, hinted = Craft().episode(task(), 0), Craft(hints=True).episode(task(), 0)
    assert hinted.start()[0]["content"] == plain.start()[0]["content"] + " Short of: table, leg, log."
    moves = ["get log", "craft leg", "get log", "craft leg", "get clay"]
    hints = ["table, leg", "table, leg, log", "table, leg", "table, clay", "table"]
    for before, after, hint in zip(play(plain, *moves), play(hinted, *moves), hints, strict=True):
        assert after.messages[0]["content"] == f"{before.messages[0]['content']} Short of: {hint}."
        assert after.feedback == before.feedback
