import pytest

from agenttrain.reward.strict import Strict
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def episode(*feedback: dict, stop="done") -> Trajectory:
    return Trajectory(Task("t", []), [Turn(Action({}), Observation([], feedback=f)) for f in feedback], stop)


WON = {"success": True}


def test_a_clean_success_passes():
    assert Strict()(episode({}, WON)) == [0.0, 1.0]
    assert Strict()(episode()) == []


@pytest.mark.parametrize(
    "trajectory",
    [
        episode({}, {"success": False}),
        episode({}, WON, stop="max_turns"),
        episode({"invalid_call": "no call"}, WON),
        episode({"tool_error": "no such item"}, WON),
        episode({"violations": ["confirm"]}, WON),
    ],
)
def test_what_a_lenient_verifier_would_let_pass(trajectory):
    assert Strict()(trajectory)[-1] == 0.0


def test_its_bounds_can_be_loosened_and_facts_asked_for():
    slips = episode({"invalid_call": "x", "found": True}, {"tool_error": "y", "found": False}, WON)
    assert Strict(invalid_calls=1, tool_errors=1, facts=["found"])(slips)[-1] == 1.0
    assert Strict(invalid_calls=1, tool_errors=1, facts=["read"])(slips)[-1] == 0.0
