import numpy as np

from agenttrain.credit.grpo import Grpo

from .episodes import episode


def test_hand_computed_group():
    # Returns 1, 0, 0: mean 1/3, deviation (n - 1) 0.57735.
    advantages = Grpo(eps=0.0)([episode("a", [0.5, 0.5]), episode("a", [0.0]), episode("a", [0.0, 0.0])])
    assert np.allclose(advantages[0], [2 / 3 / 0.5773502692] * 2)
    assert np.allclose(advantages[1], [-1 / 3 / 0.5773502692])


def test_eps_bounds_a_group_that_hardly_differs():
    group = [episode("a", [1e-6]), episode("a", [0.0])]
    assert abs(Grpo(eps=1e-4)(group)[0][0]) < 0.01
    assert abs(Grpo(eps=1e-9)(group)[0][0]) > 0.7


def test_a_group_without_variance_gives_zero():
    assert Grpo()([episode("a", [0.1, 0.2]), episode("a", [0.1, 0.2])]) == [[0.0, 0.0], [0.0, 0.0]]
