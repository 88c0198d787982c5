import numpy as np

from agenttrain.credit.dr_grpo import DrGrpo
from agenttrain.credit.gigpo import Gigpo
from agenttrain.credit.grpo import Grpo

from .episodes import episode


def step_term(batch, **options):
    """Advantages without the episode term, norm none unless told."""
    options = {"norm": "none", "gamma": 0.5} | options
    whole = Gigpo(**options)(batch)
    episodes = (DrGrpo() if options["norm"] == "none" else Grpo(eps=1e-6))(batch)
    return [np.subtract(w, e).tolist() for w, e in zip(whole, episodes, strict=True)]


def test_hand_computed_anchors():
    # G: 1 2 4 and 0 0. State x holds the returns 1 and 0; y holds 2 and 0; z is seen once.
    batch = [episode("a", [0, 0, 4], "xyz"), episode("a", [0, 0], "yx")]
    assert step_term(batch) == [[0.5, 1.0, 0.0], [-1.0, -0.5]]
    assert Gigpo(norm="none", gamma=0.5)(batch) == [[2.5, 3.0, 2.0], [-3.0, -2.5]]


def test_the_deviation_has_n_minus_1():
    batch = [episode("a", [4.0], "x"), episode("a", [1.0], "x"), episode("a", [1.0], "x")]
    assert np.allclose(step_term(batch, norm="std"), [[2 / 3**0.5], [-1 / 3**0.5], [-1 / 3**0.5]], atol=1e-5)


def test_omega_weighs_the_step_term():
    batch = [episode("a", [0, 4], "xy"), episode("a", [0, 0], "xz")]
    assert np.allclose(step_term(batch, omega=3.0), np.multiply(3.0, step_term(batch)))


def test_equal_states_of_different_tasks_are_not_compared():
    batch = [episode("a", [1], "x"), episode("a", [1], "y"), episode("b", [0], "x"), episode("b", [0], "y")]
    assert step_term(batch) == [[0.0]] * 4


def test_turns_without_a_state_key_are_not_taken_for_one_state():
    assert step_term([episode("a", [1], " "), episode("a", [0], " ")]) == [[0.0], [0.0]]


def test_a_state_met_twice_in_one_episode_compares_its_own_visits():
    # The loop x -> x -> done earns the later visit more at gamma < 1.
    assert step_term([episode("a", [0, 4], "xx"), episode("a", [0], "y")]) == [[-1.0, 1.0], [0.0]]
