import numpy as np
import pytest

from agenttrain.credit.gdpo import Gdpo
from agenttrain.credit.grpo import Grpo
from agenttrain.credit.turn import Turn
from agenttrain.errors import UserError
from agenttrain.types import Action, Observation, Task, Trajectory
from agenttrain.types import Turn as Step

TERMS = ("rlvf", "style")
WEIGHTS = {"rlvf": 1.0, "style": 0.5}


def attempt(task, rlvf, style, weights=None, stop="done"):
    turns = [Step(Action({}), Observation([])) for _ in range(2)]
    scores = {"rlvf": [0.0, rlvf], "style": [style, 0.0]}
    return Trajectory(Task(task, []), turns, stop, scores=scores, weights=weights or dict(WEIGHTS))


def drawn(seed, groups=3, size=4):
    rng = np.random.default_rng(seed)
    return [
        attempt(f"t{g}", float(rng.integers(2)), 100 * float(rng.normal())) for g in range(groups) for _ in range(size)
    ]


def trl(batch, size):
    """TRL 1.16, `multi_objective_aggregation="normalize_then_sum"`, written out in numpy."""
    sums = np.array([[sum(t.scores[name]) for name in TERMS] for t in batch]).reshape(-1, size, len(TERMS))
    each = (sums - sums.mean(1, keepdims=True)) / (sums.std(1, ddof=1, keepdims=True) + 1e-4)
    total = each.reshape(-1, len(TERMS)) @ np.array([WEIGHTS[name] for name in TERMS])
    return (total - total.mean()) / (total.std(ddof=1) + 1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_of_grpo_it_is_what_trl_computes(seed):
    batch = drawn(seed)
    found = np.array(Gdpo(Grpo())(batch))
    assert np.allclose(found, trl(batch, 4)[:, None], atol=1e-9)


def test_a_term_of_large_spread_does_not_drown_the_others():
    batch = [attempt("t", 1.0, 0.0), attempt("t", 0.0, 0.0), attempt("t", 1.0, 1000.0), attempt("t", 0.0, 1000.0)]
    summed, apart = Grpo()(batch), Gdpo(Grpo())(batch)
    assert abs(summed[0][0] - summed[1][0]) < 0.01
    assert apart[0][0] - apart[1][0] > 1.0


def test_one_term_without_batch_norm_is_its_base_times_the_weight():
    batch = [attempt("t", value, 0.0, {"rlvf": 2.0, "style": 0.0}) for value in (1.0, 0.0, 0.5)]
    alone = [attempt("t", value, 0.0, {"rlvf": 1.0, "style": 0.0}) for value in (1.0, 0.0, 0.5)]
    assert np.allclose(Gdpo(Turn(), batch_norm=False)(batch), 2.0 * np.array(Turn()(alone)))


def test_a_term_behind_a_gate_counts_as_nothing_there():
    closed = WEIGHTS | {"style": 0.0}
    gated = [attempt("t", 1.0, 1.0), attempt("t", 0.0, 9.0, closed), attempt("t", 1.0, 2.0)]
    plain = [attempt("t", 1.0, 1.0), attempt("t", 0.0, 0.0), attempt("t", 1.0, 2.0)]
    assert np.allclose(Gdpo(Grpo())(gated), Gdpo(Grpo())(plain))


def test_an_attempt_that_we_failed_gets_nothing_and_changes_nobody():
    batch = drawn(0, groups=1)
    failed = attempt("t0", 9.0, 9.0, stop="reward_error")
    failed.scores = {}
    found = Gdpo(Grpo())([*batch, failed])
    assert found[-1] == [0.0, 0.0]
    assert np.allclose(found[:-1], Gdpo(Grpo())(batch))


def test_a_base_per_token_is_refused():
    class PerToken:
        def __call__(self, batch):
            return [[[0.0, 1.0] for _ in t.turns] for t in batch]

    with pytest.raises(UserError, match="one advantage per turn"):
        Gdpo(PerToken())(drawn(0))
