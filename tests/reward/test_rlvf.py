import pytest

from agenttrain.reward.rlvf import Rlvf
from agenttrain.types import Action, Observation, Reward, Task, Trajectory, Turn


def episode(*feedback: dict, rewards: tuple[float, ...] = (), stop: str = "done") -> Trajectory:
    rewards = rewards or (0.0,) * len(feedback)
    seen = [Observation([], reward, feedback=facts) for facts, reward in zip(feedback, rewards, strict=True)]
    return Trajectory(Task("t", []), [Turn(Action({}), observation) for observation in seen], stop)


def test_the_outcome_is_paid_on_the_last_turn():
    assert isinstance(Rlvf(), Reward)
    assert Rlvf()(episode({}, {}, {"success": True})) == [0.0, 0.0, 1.0]
    assert Rlvf(failure=-1.0)(episode({}, {"success": False})) == [0.0, -1.0]


def test_a_truncated_episode_has_failed():
    assert Rlvf(failure=-0.5)(episode({}, {}, stop="max_turns")) == [0.0, -0.5]


def test_success_in_the_middle_does_not_count():
    assert Rlvf()(episode({"success": True}, {})) == [0.0, 0.0]


def test_an_episode_without_a_turn_has_no_scores():
    assert Rlvf()(episode()) == []


def test_facts_of_single_turns():
    trajectory = episode({"tool_error": "no such item"}, {}, {"success": True}, rewards=(0.0, 0.5, 1.0))
    assert Rlvf(tool_error=-0.25, progress=2.0)(trajectory) == [-0.25, 1.0, 3.0]


def test_checks_and_valid_calls_pay_turn_by_turn():
    trajectory = episode(
        {"found": True}, {"found": False, "tests_passed": 3}, {"invalid_call": "no call"}, {"tool_error": "x"}
    )
    assert Rlvf(checks={"found": 0.5, "tests_passed": 0.1})(trajectory) == pytest.approx([0.5, 0.3, 0.0, 0.0])
    assert Rlvf(valid_call=0.25)(trajectory) == [0.25, 0.25, 0.0, 0.0]
