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


def test_leave_one_out_takes_the_mean_of_the_others():
    batch = [episode("a", [4.0], "x"), episode("a", [1.0], "x"), episode("a", [1.0], "x"), episode("a", [0.0], "y")]
    whole = Gigpo(norm="loo", omega=0.0)(batch)
    found = [own[0] - base[0] for own, base in zip(Gigpo(norm="loo")(batch), whole, strict=True)]
    assert np.allclose(found, [3.0, -1.5, -1.5, 0.0])
    assert np.allclose([row[0] for row in whole], [4 - 2 / 3, 1 - 5 / 3, 1 - 5 / 3, 0 - 2])


def test_states_that_resemble_the_first_of_a_group_are_taken_for_one():
    def batch():
        rows = [episode("a", [r], "x") for r in (1.0, 0.0, 4.0)]
        for row, state in zip(rows, ("room with a door 1", "room with a door 2", "a lake"), strict=True):
            row.turns[0].observation.state = state
        return rows

    assert np.allclose(np.concatenate(step_term(batch())), 0.0)
    assert np.allclose(np.concatenate(step_term(batch(), similarity=0.9)), [0.5, -0.5, 0.0])


def test_a_penalty_can_count_for_its_own_turn_alone():
    penalties = [0.0, -1.0]
    batch = [episode("a", [0.0, 2.0], "xy", format=penalties), episode("a", [0.0, 0.0], "xy", format=[0.0, 0.0])]
    # With gamma 0.5: the outcome gives 1 and 2 to the turns, the penalty -1 to the second alone.
    assert np.allclose(np.concatenate(step_term(batch, undiscounted=["format"])), [0.5, 0.5, -0.5, -0.5])
    assert np.allclose(np.concatenate(step_term(batch)), [0.25, 0.5, -0.25, -0.5])


def test_a_state_that_resembles_just_enough_belongs():
    batch = [episode("a", [r], "x") for r in (1.0, 0.0)]
    batch[0].turns[0].observation.state, batch[1].turns[0].observation.state = "ab", "ac"  # a ratio of 0.5
    assert np.allclose(np.concatenate(step_term(batch, similarity=0.5)), [0.5, -0.5])
    assert np.allclose(np.concatenate(step_term(batch, similarity=0.51)), 0.0)
