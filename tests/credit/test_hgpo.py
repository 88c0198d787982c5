import numpy as np
import pytest

from agenttrain.credit.dr_grpo import DrGrpo
from agenttrain.credit.gigpo import Gigpo
from agenttrain.credit.hgpo import Hgpo

from .episodes import episode, random_batch


def test_hand_computed():
    # Returns (gamma 1) in y: 4, 0, 2. With the state before it: 4 and 0 from x, 2 alone from z.
    batch = [episode("a", [0, 4], "xy"), episode("a", [0, 0], "xy"), episode("a", [0, 2], "zy")]
    found = Hgpo(gamma=1.0, history=1, alpha=1.0, norm="none")(batch)
    whole = DrGrpo()(batch)
    step = [row[1] - base[1] for row, base in zip(found, whole, strict=True)]
    level0, level1 = np.array([2.0, -2.0, 0.0]), np.array([2.0, -2.0, 0.0])
    assert np.allclose(step, level0 / 3 + level1 * 2 / 3)
    first = [row[0] - base[0] for row, base in zip(found, whole, strict=True)]
    assert np.allclose(first, np.array([2.0, -2.0, 0.0]) / 3), "a first turn has no history to share"


@pytest.mark.parametrize("seed", range(3))
def test_without_history_it_is_gigpo(seed):
    batch = random_batch(seed)
    for own, other in zip(Hgpo(history=0)(batch), Gigpo()(batch), strict=True):
        assert np.allclose(own, other)


def test_alpha_0_weighs_all_levels_alike():
    batch = random_batch(3)
    gigpo, both = (Hgpo(history=h, alpha=0.0, norm="none")(batch) for h in (0, 1))
    assert any(not np.allclose(a, b) for a, b in zip(gigpo, both, strict=True))
