import math

import pytest

from agenttrain import combine
from agenttrain.errors import UserError
from agenttrain.model import scorer
from agenttrain.reward.learned import Learned
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


class Judge:
    name = "judge@0123"

    def score(self, trajectories):
        return [[5.0, -2.0] for _ in trajectories]


@pytest.fixture
def episode(monkeypatch):
    monkeypatch.setattr(scorer, "read", lambda path: Judge())
    turn = Turn(Action({"role": "assistant", "content": "x"}), Observation([]))
    return Trajectory(Task("t", []), [turn, turn], "done")


def test_the_last_turn_gets_the_score_of_the_whole_episode(episode):
    assert Learned("judge", probability=False)(episode) == [0.0, -2.0]
    assert Learned("judge")(episode) == [0.0, pytest.approx(1 / (1 + math.exp(2)))]


def test_a_very_low_score_is_a_probability_of_nothing(episode, monkeypatch):
    monkeypatch.setattr(Judge, "score", lambda self, trajectories: [[0.0, -1e4]])
    assert Learned("judge")(episode) == [0.0, 0.0]


def test_the_trajectory_says_which_model_scored_it(episode):
    Learned("judge")(episode)
    assert episode.meta["scored_by"] == {"learned": "judge@0123"}


def test_a_missing_model_is_told_before_the_first_episode(tmp_path):
    with pytest.raises(UserError, match="There is no reward model at"):
        combine.Terms().begin({"learned": Learned(str(tmp_path / "none"))})
