import numpy as np

from agenttrain.credit.reinforce_pp import ReinforcePp

from .episodes import episode, random_batch


def flat(rows):
    return np.concatenate([np.asarray(row) for row in rows])


def test_hand_computed():
    # Returns 3 2 and 1: mean 2, deviation 1 over three turns, whatever the task.
    batch = [episode("a", [1.0, 2.0]), episode("b", [1.0])]
    assert np.allclose(flat(ReinforcePp()(batch)), [1.0, 0.0, -1.0], atol=1e-6)


def test_a_batch_has_mean_0_and_deviation_1():
    found = flat(ReinforcePp(gamma=0.9)([t for t in random_batch(1) if t.stop == "done"]))
    assert np.allclose([found.mean(), found.std(ddof=1)], [0.0, 1.0], atol=1e-6)


def test_a_single_attempt_is_judged_against_other_tasks_and_what_we_failed_is_not_counted():
    batch = [episode("a", [2.0]), episode("b", [0.0]), episode("c", [100.0], stop="infra_error")]
    assert np.allclose(flat(ReinforcePp()(batch)), [2**-0.5, -(2**-0.5), 0.0], atol=1e-6)
    assert ReinforcePp()(batch[:1]) == [[0.0]]


def test_the_baseline_takes_off_what_is_the_tasks_own():
    easy, hard = [episode("easy", [r]) for r in (11.0, 9.0)], [episode("hard", [r]) for r in (1.0, -1.0)]
    plain, based = (flat(ReinforcePp(baseline=b)(easy + hard)) for b in (False, True))
    assert plain[1] > plain[2]
    assert np.allclose(based, np.array([1, -1, 1, -1]) * (3 / 4) ** 0.5, atol=1e-6)
