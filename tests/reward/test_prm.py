import math

import pytest

from agenttrain import combine
from agenttrain.errors import UserError
from agenttrain.model import scorer
from agenttrain.reward.prm import Prm
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


class Judge:
    name = "judge@0123"

    def score(self, trajectories):
        return [[0.0, math.log(3), -math.log(3)] for _ in trajectories]


@pytest.fixture
def episode(monkeypatch):
    monkeypatch.setattr(scorer, "read", lambda path: Judge())
    turn = Turn(Action({"role": "assistant", "content": "x"}), Observation([]))
    return Trajectory(Task("t", []), [turn] * 3, "done")


def test_absolute_is_the_probability_after_each_turn(episode):
    assert Prm("judge", form="absolute")(episode) == pytest.approx([0.5, 0.75, 0.25])


def test_progress_is_the_change_and_sums_to_the_last_probability(episode):
    scores = Prm("judge")(episode)
    assert scores == pytest.approx([0.5, 0.25, -0.5])
    assert sum(scores) == pytest.approx(0.25)


def test_the_trajectory_says_which_model_scored_it(episode):
    Prm("judge")(episode)
    assert episode.meta["scored_by"] == {"prm": "judge@0123"}


def test_an_episode_without_turns_has_no_scores(episode):
    episode.turns = []
    assert Prm("judge")(episode) == []


def test_a_missing_model_is_told_before_the_first_episode(tmp_path):
    with pytest.raises(UserError, match="There is no reward model at"):
        combine.Terms().begin({"prm": Prm(str(tmp_path / "none"))})
