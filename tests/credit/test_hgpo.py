import numpy as np
import pytest

from agenttrain.credit.gigpo import Gigpo
from agenttrain.credit.grpo import Grpo
from agenttrain.credit.hgpo import Hgpo

from .episodes import episode, random_batch


def test_hand_computed():
    # Returns (gamma 1) in y: 4, 0, 5. With the state before it: 4 and 0 from x, 5 alone from z.
    batch = [episode("a", [0, 4], "xy"), episode("a", [0, 0], "xy"), episode("a", [0, 5], "zy")]
    found = Hgpo(gamma=1.0, history=1, alpha=1.0, norm="none")(batch)
    assert np.allclose([row[1] for row in found[:2]], [(2 * 1 + 3 * 2) / 5, (2 * -3 + 3 * -2) / 5])
    assert np.isclose(found[2][1], 2.0), "a level at which it is alone does not water it down"
    assert np.allclose([row[0] for row in found], [2.0, -2.0, 0.0]), "a first turn has no history to share"


def test_longer_histories_weigh_by_alpha():
    batch = [episode("a", [0, 4], "xy"), episode("a", [0, 0], "xy"), episode("a", [0, 5], "zy")]
    plain, steep = (Hgpo(gamma=1.0, history=1, alpha=a, norm="none")(batch)[0][1] for a in (0.0, 9.0))
    assert np.isclose(plain, 1.5)
    assert 1.97 < steep < 2.0


@pytest.mark.parametrize("seed", range(3))
def test_without_history_it_is_the_step_term_of_gigpo(seed):
    batch = random_batch(seed)
    whole = Gigpo(omega=0.0, norm="none")(batch)
    for own, other, base in zip(Hgpo(history=0, norm="none")(batch), Gigpo(norm="none")(batch), whole, strict=True):
        assert np.allclose(own, np.subtract(other, base))


def test_the_episode_is_one_more_level():
    batch = [episode("a", [1, 0], "x "), episode("a", [0, 0], "x ")]
    step, whole = Hgpo(episode=False)(batch), Grpo(eps=1e-6, statistics="turn")(batch)
    found = Hgpo(episode=True)(batch)
    assert np.isclose(found[0][0], (2 * step[0][0] + whole[0][0]) / 3)
    assert np.isclose(found[0][1], whole[0][1]), "nothing else is known of a turn without a key"
