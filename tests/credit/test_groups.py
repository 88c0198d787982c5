import numpy as np
import pytest

from agenttrain.credit.dr_grpo import DrGrpo
from agenttrain.credit.gigpo import Gigpo
from agenttrain.credit.groups import Turns, relative
from agenttrain.credit.grpo import Grpo
from agenttrain.credit.turn import Turn
from agenttrain.errors import UserError
from agenttrain.types import Credit

from .episodes import episode

STRATEGIES = [Grpo(), DrGrpo(), Turn(), Gigpo()]


def test_a_group_is_the_attempts_at_one_task_wherever_they_stand():
    batch = [episode("a", [0]), episode("b", [0]), episode("a", [0]), episode("a", [0], stop="infra_error")]
    turns = Turns(batch)
    assert turns.task.tolist() == [0, 1, 0]
    assert len(turns.played) == 3


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: type(s).__name__)
def test_a_strategy_gives_one_finite_number_per_turn(strategy):
    assert isinstance(strategy, Credit)
    batch = [episode("a", [0.5, 1], "xy"), episode("a", []), episode("b", [1], "x"), episode("a", [1, 0, 0], "xyx")]
    advantages = strategy(batch)
    assert [len(turns) for turns in advantages] == [2, 0, 1, 3]
    assert np.isfinite(np.concatenate([np.array(turns) for turns in advantages])).all()
    assert advantages[2] == [0.0], "alone in its group"
    assert strategy([]) == []


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("stop", ["infra_error", "env_error"])
def test_what_we_failed_changes_nobodys_advantage(strategy, stop):
    batch = [episode("a", [0, 1], "xy"), episode("a", [0, 0], "xz"), episode("a", [1], "x")]
    with_failure = strategy([batch[0], episode("a", [9, -9], "xy", stop=stop), *batch[1:]])
    assert with_failure.pop(1) == [0.0, 0.0]
    assert with_failure == strategy(batch)


def test_statistics_over_turns_count_a_long_trajectory_more():
    turns = Turns([episode("a", [10.0, 0.0]), episode("a", [0.0] * 8)])
    assert relative(turns, turns.rewards, "none", 0.0, "trajectory").tolist() == [5.0] * 2 + [-5.0] * 8
    assert relative(turns, turns.rewards, "none", 0.0, "turn").tolist() == [8.0] * 2 + [-2.0] * 8


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("reward", [float("nan"), float("inf")])
def test_a_reward_that_is_no_number_is_told_with_its_turn(strategy, reward):
    batch = [episode("a", [0.0, 1.0]), episode("a", [0.0, reward])]
    with pytest.raises(UserError, match=f"reward 'r': {reward} in turn 1 of attempt 0 at task 'a'"):
        strategy(batch)
    batch[1].stop = "infra_error"
    assert strategy(batch)[1] == [0.0, 0.0], "of what we failed nothing is read"


def test_a_group_that_is_all_alike_gives_exactly_0():
    batch = [episode("a", [0.1]) for _ in range(3)]
    assert Grpo(eps=0.0)(batch) == [[0.0]] * 3


def test_rewards_are_weighed():
    batch = [episode("a", [1.0], other=[2.0]), episode("a", [0.0], other=[0.0])]
    batch[0].weights = {"r": 0.5, "other": 0.25}
    assert DrGrpo()(batch) == [[0.5], [-0.5]]


def test_a_row_of_scores_that_does_not_fit_its_turns_is_told():
    batch = [episode("a", [0.0, 1.0]), episode("a", [0.0])]
    batch[1].scores["r"] = [0.0, 0.0]
    with pytest.raises(UserError, match="reward 'r': 2 for the 1 turns of attempt 0 at task 'a'"):
        Grpo()(batch)
