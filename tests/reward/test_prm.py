import math

import pytest

from agenttrain import combine
from agenttrain.commands.rl import rl
from agenttrain.credit.process import Process
from agenttrain.errors import UserError
from agenttrain.model import scorer
from agenttrain.reward.prm import Prm
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


class Judge:
    name = "judge@0123"

    def score(self, trajectories):
        return [[0.0, math.log(3), -math.log(3)][: len(t.turns)] for t in trajectories]


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


def test_shaping_takes_back_all_that_it_paid_so_that_an_episode_earns_its_outcome(episode):
    scores = Prm("judge", form="shaping")(episode)
    assert scores == pytest.approx([0.5, 0.25, -0.75])
    assert sum(scores) == pytest.approx(0.0)  # however high the last turn is scored: a cut one may be


def test_the_trajectory_says_which_model_scored_it(episode):
    Prm("judge")(episode)
    assert episode.meta["scored_by"] == {"prm": "judge@0123"}


def test_an_episode_without_turns_has_no_scores(episode):
    episode.turns = []
    assert [Prm("judge", form=form)(episode) for form in ("absolute", "progress", "shaping")] == [[], [], []]


@pytest.mark.parametrize("term", ["prm", None])
def test_differences_of_differences_are_refused_before_anything_is_read(term):
    def train(form, credit_form):
        settings = dict.fromkeys(("model", "task", "env", "policy", "rollout", "algo", "out"))
        credit = Process(term=term, form=credit_form)
        rl(**settings, reward={"prm": Prm("none", form=form)}, combine=combine.Terms(), credit=credit)

    for form in ("progress", "shaping"):
        with pytest.raises(UserError, match=r"both take differences.*\n.*form=absolute"):
            train(form, "progress")
        with pytest.raises(UserError, match="There is no reward model at"):
            train(form, "absolute")
    with pytest.raises(UserError, match="There is no reward model at"):
        train("absolute", "progress")


def test_a_missing_model_is_told_before_the_first_episode(tmp_path):
    with pytest.raises(UserError, match="There is no reward model at"):
        combine.Terms().begin({"prm": Prm(str(tmp_path / "none"))})
