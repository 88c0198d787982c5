"""What holds of every strategy, whatever the batch: tried on random ones."""

import random
from collections import defaultdict

import numpy as np
import pytest

from agenttrain.config import options
from agenttrain.config.compose import compose
from agenttrain.credit.dr_grpo import DrGrpo
from agenttrain.credit.gigpo import Gigpo
from agenttrain.credit.grpo import Grpo
from agenttrain.credit.rloo import Rloo
from agenttrain.credit.turn import Turn
from agenttrain.types import FAILED_BY_US

from .episodes import random_batch

NAMES = options.options("credit", options.folders())


@pytest.fixture(scope="module")
def strategies():
    """Every option as its file has it."""
    return {name: compose("rl", ["model=tiny", f"credit={name}"]).call().keywords["credit"] for name in NAMES}


def per_turn(advantages):
    """Numbers of each turn, as one row per trajectory."""
    return [np.concatenate([np.atleast_1d(turn) for turn in row]) for row in advantages]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_one_finite_advantage_per_turn_and_none_for_what_we_failed(strategies, name, seed):
    batch = random_batch(seed)
    advantages = strategies[name](batch)
    assert [len(row) for row in advantages] == [len(t.turns) for t in batch]
    for row, trajectory in zip(per_turn(advantages), batch, strict=True):
        assert np.isfinite(row).all()
        assert trajectory.stop not in FAILED_BY_US or not row.any()


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_batch_does_not_matter(strategies, name):
    batch = random_batch(11)
    order = random.Random(0).sample(range(len(batch)), len(batch))
    first, second = (per_turn(strategies[name](rows)) for rows in (batch, [batch[place] for place in order]))
    for place, row in zip(order, second, strict=True):
        assert np.allclose(row, first[place])


@pytest.mark.parametrize("name", NAMES)
def test_the_trajectories_are_left_as_they_are(strategies, name):
    batch = random_batch(12)
    strategies[name](batch)
    assert batch == random_batch(12)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"reinforce_pp", "gae", "agent_r1", "gagpo", "gdpo", "empg"}))
def test_tasks_do_not_touch_each_other(strategies, name):
    """But in those that compare over the whole batch."""
    batch = random_batch(13)
    alone = [t for t in batch if t.task.id == "t0"]
    together = [row for row, t in zip(strategies[name](batch), batch, strict=True) if t.task.id == "t0"]
    for own, other in zip(strategies[name](alone), together, strict=True):
        assert np.allclose(own, other)


@pytest.mark.parametrize("credit", [Grpo(), DrGrpo(), Rloo()], ids=lambda credit: type(credit).__name__)
def test_a_groups_trajectories_sum_to_zero_and_a_turn_more_or_less_changes_nothing(credit):
    batch = [t for t in random_batch(14, tasks=1) if t.stop == "done"]
    whole = [row[0] for row in credit(batch)]
    assert sum(whole) == pytest.approx(0.0, abs=1e-9)
    longer = random_batch(14, tasks=1)
    longer = [t for t in longer if t.stop == "done"]
    longer[0].turns.insert(0, longer[0].turns[0])
    longer[0].scores["r"].insert(0, 0.0)
    assert np.allclose([row[0] for row in credit(longer)], whole)


@pytest.mark.parametrize("seed", range(3))
def test_gigpo_without_its_step_term_is_grpo(seed):
    batch = random_batch(seed)
    for own, other in zip(Gigpo(omega=0.0, eps=1e-4)(batch), Grpo()(batch), strict=True):
        assert np.allclose(own, other)


@pytest.mark.parametrize("norm", ["std", "none", "loo"])
def test_the_step_term_sums_to_zero_in_every_state(norm):
    batch = random_batch(15)
    step = [np.subtract(*rows) for rows in zip(*(Gigpo(norm=norm, omega=o)(batch) for o in (1.0, 0.0)), strict=True)]
    sums = defaultdict(float)
    for row, trajectory in zip(step, batch, strict=True):
        for number, turn in zip(row, trajectory.turns, strict=True):
            sums[trajectory.task.id, turn.observation.state] += number
    assert len(sums) > 5
    assert np.allclose(list(sums.values()), 0.0)


def test_turns_returns_against_the_others_sum_to_zero_if_absent_turns_are_counted():
    batch = [t for t in random_batch(16, tasks=1) if t.stop == "done"]
    advantages, returns = Turn()(batch), [np.cumsum(t.turn_rewards[::-1])[::-1] for t in batch]
    for number in range(max(map(len, advantages))):
        here = [row[number] for row in advantages if len(row) > number]
        total = sum(row[number] for row in returns if len(row) > number)
        absent = len(batch) - len(here)
        assert sum(here) - absent * total / (len(batch) - 1) == pytest.approx(0.0, abs=1e-9)
