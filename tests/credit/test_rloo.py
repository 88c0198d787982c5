import numpy as np

from agenttrain.credit.dr_grpo import DrGrpo
from agenttrain.credit.rloo import Rloo

from .episodes import episode, random_batch


def test_hand_computed():
    batch = [episode("a", [1.0, 2.0]), episode("a", [0.0]), episode("a", [3.0]), episode("b", [9.0])]
    assert Rloo()(batch) == [[1.5, 1.5], [-3.0], [1.5], [0.0]]


def test_it_is_dr_grpo_times_n_over_n_less_1():
    batch = [t for t in random_batch(0, tasks=1, attempts=5) if t.stop == "done"]
    n = len(batch)
    for own, other in zip(Rloo()(batch), DrGrpo()(batch), strict=True):
        assert np.allclose(own, np.multiply(other, n / (n - 1)))
