import threading

import pytest

from agenttrain.errors import UserError
from agenttrain.reward.format import Format
from agenttrain.reward.rlvf import Rlvf
from agenttrain.reward.score import score
from agenttrain.types import Action, InfraError, Observation, Task, Trajectory, Turn


class Fixed:
    def __init__(self, *scores, weight=1.0):
        self.scores, self.weight = scores, weight

    def __call__(self, trajectory):
        return list(self.scores)


def episode() -> Trajectory:
    facts = [{"invalid_call": "no call"}, {"success": True}]
    return Trajectory(Task("t", []), [Turn(Action({}), Observation([], feedback=f)) for f in facts], "done")


def test_rewards_are_kept_apart_and_summed_by_weight():
    trajectory = score(episode(), {"rlvf": Rlvf(weight=2.0), "format": Format(penalty=0.25)})
    assert trajectory.scores == {"rlvf": [0.0, 1.0], "format": [-0.25, 0.0]}
    assert trajectory.turn_rewards == [-0.25, 2.0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_names_reward_and_turn(bad):
    with pytest.raises(UserError, match=r"'judge'.*turn 1"):
        score(episode(), {"judge": Fixed(0.0, bad)})


def test_a_wrong_number_of_scores_names_the_reward():
    with pytest.raises(UserError, match=r"'judge' gave 1 scores.*2 turns"):
        score(episode(), {"judge": Fixed(0.0)})


def test_a_reward_that_hangs_is_our_failure_and_not_the_agents():
    class Hangs(Fixed):
        def __call__(self, trajectory):
            threading.Event().wait()

    trajectory = score(episode(), {"rlvf": Rlvf(), "judge": Hangs()}, timeout=0.05)
    assert (trajectory.stop, trajectory.scores) == ("infra_error", {})
    assert "'judge'" in trajectory.error


def test_a_reward_whose_surroundings_fail_is_no_failure_of_the_agent():
    class Down(Fixed):
        def __call__(self, trajectory):
            raise InfraError("the judge cannot be reached")

    trajectory = score(episode(), {"rlvf": Rlvf(), "judge": Down()})
    assert (trajectory.stop, trajectory.scores) == ("infra_error", {})
    assert trajectory.error == "reward 'judge': the judge cannot be reached"


def test_what_a_reward_raises_is_not_hidden():
    class Broken(Fixed):
        def __call__(self, trajectory):
            raise KeyError("label")

    with pytest.raises(KeyError, match="label"):
        score(episode(), {"judge": Broken()})
