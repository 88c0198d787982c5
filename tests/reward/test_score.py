import threading

import pytest

from agenttrain.errors import UserError
from agenttrain.reward.format import Format
from agenttrain.reward.rlvf import Rlvf
from agenttrain.reward.score import compare, score
from agenttrain.types import FAILED_BY_US, Action, InfraError, Observation, Task, Trajectory, Turn


class Fixed:
    """A reward that gives what it was made with, or raises it."""

    def __init__(self, given, weight=1.0):
        self.given, self.weight = given, weight

    def __call__(self, trajectory):
        if isinstance(self.given, BaseException):
            raise self.given
        return self.given


def episode() -> Trajectory:
    facts = [{"invalid_call": "no call"}, {"success": True}]
    return Trajectory(Task("t", []), [Turn(Action({}), Observation([], feedback=f)) for f in facts], "max_turns")


def test_rewards_are_kept_apart_and_summed_by_weight():
    trajectory = score(episode(), {"rlvf": Rlvf(weight=2.0), "format": Format(penalty=0.25)})
    assert trajectory.scores == {"rlvf": [0.0, 1.0], "format": [-0.25, 0.0]}
    assert trajectory.turn_rewards == [-0.25, 2.0]


FAULTS = [
    ([0.0, float("nan")], "gave nan on turn 1"),
    ([float("-inf"), 0.0], "gave -inf on turn 0"),
    ([0.0], "gave 1 scores for 2 turns"),
    (None, "gave None, not one number per turn"),
    ([0.0, None], "gave [0.0, None], not one number per turn"),
    (1.0, "gave 1.0, not one number per turn"),
    (KeyError("label"), "raised KeyError: 'label'"),
    (SystemExit(1), "raised SystemExit: 1"),
    (InfraError("the judge cannot be reached"), "failed: the judge cannot be reached"),
]


@pytest.mark.parametrize(("given", "said"), FAULTS, ids=[said for _, said in FAULTS])
def test_a_reward_that_fails_masks_the_episode_and_is_named(given, said):
    trajectory = score(episode(), {"rlvf": Rlvf(), "judge": Fixed(given)})
    assert trajectory.stop == "reward_error"
    assert trajectory.stop in FAILED_BY_US
    assert trajectory.scores == {}
    assert trajectory.error.startswith(f"reward 'judge' {said}")


def test_a_reward_that_hangs_is_left_behind():
    class Hangs(Fixed):
        def __call__(self, trajectory):
            threading.Event().wait()

    trajectory = score(episode(), {"judge": Hangs(None)}, timeout=0.05)
    assert (trajectory.stop, trajectory.error) == ("reward_error", "reward 'judge' took longer than 0.05 s")


def test_what_the_user_can_mend_ends_the_run():
    with pytest.raises(UserError, match="no such file"):
        score(episode(), {"safety": Fixed(UserError("no such file"))})


def test_an_episode_that_a_reward_failed_is_scored_afresh_as_it_was_played():
    trajectory = score(episode(), {"judge": Fixed(None)})
    score(trajectory, {"rlvf": Rlvf()})
    assert (trajectory.stop, trajectory.error) == ("max_turns", None)
    assert trajectory.scores == {"rlvf": [0.0, 1.0]}
    assert "played" not in trajectory.meta


def test_an_episode_that_could_not_be_played_is_shown_to_no_reward():
    trajectory = episode()
    trajectory.stop = "env_error"
    score(trajectory, {"rlvf": Fixed(AssertionError("asked"))})
    assert (trajectory.stop, trajectory.scores) == ("env_error", {})


class Together(Fixed):
    """A reward that compares, and gives the same in any group."""

    def compare(self, group):
        return self(group)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "gave None, not the scores of 2 episodes"),
        ([[0.0, 1.0]], "gave [[0.0, 1.0]], not the scores of 2 episodes"),
        ([[0.0, 1.0], [1.0]], "gave 1 scores for 2 turns"),
        ([[0.0, 1.0], [float("nan"), 0.0]], "gave nan on turn 0"),
        (ValueError("no"), "raised ValueError: no"),
    ],
)
def test_a_comparison_that_fails_masks_its_whole_group(given, said):
    group = [score(episode(), {"rlvf": Rlvf()}) for _ in range(2)]
    compare(group, {"it": Together(given)})
    assert {t.stop for t in group} == {"reward_error"}
    assert all(f"reward 'it' {said}" in t.error for t in group)
    assert not any(t.scores for t in group)
    assert group[0].meta["played"]["stop"] == "max_turns", "so that it can be scored later"


def test_a_comparison_has_as_long_as_its_episodes_together():
    waiting = threading.Event()

    class Waits(Together):
        def compare(self, group):
            waiting.wait(60)

    group = [score(episode(), {}) for _ in range(3)]
    compare(group, {"it": Waits(None)}, timeout=0.01)
    waiting.set()
    assert {t.error for t in group} == {"reward 'it' took longer than 0.03 s"}
