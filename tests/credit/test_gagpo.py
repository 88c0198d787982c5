import numpy as np

from agenttrain.credit.gagpo import Gagpo

from .episodes import episode, random_batch


def test_hand_computed_td():
    # gamma 1. Returns in x: 4, 0; in y: 4, 0; in z: 0. V(x) = 2, V(y) = 2, V(z) = 0.
    batch = [episode("a", [0, 4], "xy"), episode("a", [0, 0], "xz"), episode("a", [0], "y")]
    assert Gagpo(gamma=1.0, lam=0.0, whiten=False)(batch) == [[0.0, 2.0], [-2.0, 0.0], [-2.0]], "y promised 2, not 4"


def test_lambda_1_is_the_return_against_its_anchor_group():
    # Returns at gamma 0.5: 1 2 4 and 0 0; x holds 1 and 0, y holds 2 and 0, z is its own critic.
    batch = [episode("a", [0, 0, 4], "xyz"), episode("a", [0, 0], "yx")]
    found = Gagpo(gamma=0.5, lam=1.0, whiten=False)(batch)
    assert np.allclose(np.concatenate(found), [0.5, 1.0, 0.0, -1.0, -0.5])


def test_whitened_over_the_turns_that_are_the_agents_own():
    batch = random_batch(5)
    found = Gagpo()(batch)
    own = np.concatenate([row for row, t in zip(found, batch, strict=True) if t.stop == "done"])
    assert np.allclose([own.mean(), own.std(ddof=1)], [0.0, 1.0], atol=1e-6)
    for whiten in (True, False):
        for row, trajectory in zip(Gagpo(whiten=whiten)(batch), batch, strict=True):
            assert trajectory.stop == "done" or not any(row)
