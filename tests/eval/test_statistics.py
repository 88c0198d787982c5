import math
import random
from itertools import combinations
from statistics import fmean
from unittest.mock import patch

import numpy as np
import pytest
from scipy import stats

from agenttrain.eval.statistics import (
    best_at,
    holm,
    mean_rate,
    paired_difference,
    pass_at,
    pass_hat,
    sign_flip,
    standard_error,
    success_rate,
)


def by_task(*attempts):
    return {f"t{number}": [bool(a) for a in one] for number, one in enumerate(attempts)}


def drawn(rng, chances, attempts):
    successes = rng.random((len(chances), attempts)) < chances[:, None]
    return dict(enumerate(successes.tolist()))


# -- one run ----------------------------------------------------------------------------------------------------------


def test_each_task_weighs_the_same_however_many_of_its_attempts_count():
    assert success_rate(by_task([1], [0, 0, 0])).value == 0.5


def test_one_attempt_per_task_gives_wilsons_interval_with_students_quantile():
    rate = success_rate(by_task(*[[1]] * 30, *[[0]] * 70))
    # scipy's Wilson interval takes z from a confidence level; the level whose z is t(0.975, 99)
    level = 2 * stats.norm.cdf(stats.t.ppf(0.975, 99)) - 1
    wilson = stats.binomtest(30, 100).proportion_ci(level, method="wilson")
    assert (rate.low, rate.high) == pytest.approx((wilson.low, wilson.high), abs=1e-9)


def test_attempts_that_agree_within_their_task_add_no_evidence():
    once = success_rate(by_task(*[[1]] * 12, *[[0]] * 28))
    eight_times = success_rate(by_task(*[[1] * 8] * 12, *[[0] * 8] * 28))
    assert (eight_times.low, eight_times.high) == pytest.approx((once.low, once.high))


def test_attempts_that_differ_within_their_task_narrow_the_interval_at_most_as_independent_ones_do():
    alike = success_rate(by_task(*[[1, 0, 1, 0]] * 50))
    independent = success_rate(by_task(*[[1]] * 100, *[[0]] * 100))
    assert alike.high - alike.low == pytest.approx(independent.high - independent.low, rel=0.03)


@pytest.mark.parametrize("success", [0, 1])
def test_a_run_without_any_success_or_failure_still_has_an_interval(success):
    rate = success_rate(by_task(*[[success] * 4] * 100))
    assert rate.value == success
    assert rate.high - rate.low == pytest.approx(0.0379, abs=1e-3)  # of 100 tasks, not of 400 episodes
    assert rate.low >= 0
    assert rate.high <= 1


def test_a_single_task_says_nothing_about_others():
    rate = success_rate(by_task([1, 1, 0]))
    assert (rate.low, rate.high) == (0, 1)
    assert standard_error(by_task([1, 1, 0])) == 0
    found = paired_difference(by_task([0]), by_task([1]))
    assert (found.value, found.low, found.high, found.p, found.clear) == (1, -1, 1, 1, False)


def test_the_standard_error_by_hand():
    assert standard_error(by_task([1, 1], [0, 1])) == pytest.approx(math.sqrt(0.125 / 2))


REALISTIC = {
    "one attempt, even": (100, 1, (1, 1)),
    "easy or impossible, four attempts": (100, 4, (0.3, 0.3)),
    "mostly solved, four attempts": (50, 4, (3, 0.4)),
    "mostly failed, eight attempts": (100, 8, (0.3, 3)),
    "nearly untrained, one attempt": (300, 1, (0.05, 2)),
}
"""Tasks, attempts, and the Beta distribution of a task's chance."""


@pytest.mark.parametrize("case", REALISTIC)
def test_an_interval_covers_the_true_rate_93_to_97_times_of_100(case):
    tasks, attempts, (a, b) = REALISTIC[case]
    rng, truth, hits, repetitions = np.random.default_rng(0), a / (a + b), 0, 2000
    for _ in range(repetitions):
        rates = rng.binomial(attempts, rng.beta(a, b, tasks)) / attempts
        found = mean_rate(rates.tolist(), tasks * attempts)
        hits += found.low <= truth <= found.high
    assert 0.93 <= hits / repetitions <= 0.97


# -- several attempts -------------------------------------------------------------------------------------------------


def test_pass_at_k_and_pass_hat_k_equal_the_share_of_all_choices_of_k_attempts():
    tasks = by_task([1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 0, 1])
    for k in range(1, 6):
        choices = [list(combinations(attempts, k)) for attempts in tasks.values()]
        assert pass_at(k, tasks).value == pytest.approx(fmean(fmean(map(any, chosen)) for chosen in choices))
        assert pass_hat(k, tasks).value == pytest.approx(fmean(fmean(map(all, chosen)) for chosen in choices))


def test_tasks_with_fewer_than_k_attempts_are_left_out_of_pass_at_k():
    tasks = by_task([1, 1], [0])
    assert pass_at(2, tasks).value == 1
    assert pass_hat(3, tasks) is None


# -- two runs ---------------------------------------------------------------------------------------------------------


def test_a_difference_is_agresti_and_mins_by_hand():
    first = by_task(*[[0]] * 10, *[[1]] * 3, *[[1]] * 7)
    second = by_task(*[[1]] * 10, *[[0]] * 3, *[[1]] * 7)
    found = paired_difference(first, second)
    mean = (10 - 3) / 22
    error = math.sqrt(((10 + 3 + 1) / 22 - mean**2) / 22)
    assert found.value == pytest.approx(7 / 20)
    assert (found.rose, found.fell, found.tasks) == (10, 3, 20)
    assert found.low == pytest.approx(mean - stats.t.ppf(0.975, 19) * error)
    assert found.high == pytest.approx(mean + stats.t.ppf(0.975, 19) * error)
    assert found.p == pytest.approx(stats.binomtest(3, 13).pvalue)  # McNemar's exact test
    assert found.detectable == pytest.approx((stats.t.ppf(0.975, 19) + stats.t.ppf(0.8, 19)) * error * 22 / 20)


def test_only_tasks_of_both_runs_are_paired_by_their_ids():
    first, second = {"a": [True], "b": [False], "c": [True]}, {"c": [False], "a": [True], "z": [False]}
    found = paired_difference(first, second)
    assert (found.tasks, found.rose, found.fell, found.value) == (2, 0, 1, -0.5)
    with pytest.raises(ValueError, match="no task in common"):
        paired_difference(first, {"z": [True]})


def test_equal_runs_differ_by_nothing_but_not_with_certainty():
    run = by_task(*[[1]] * 20, *[[0]] * 20)
    found = paired_difference(run, run)
    assert (found.value, found.p, found.clear) == (0, 1, False)
    assert found.low < 0 < found.high
    assert found.detectable > 0


def test_the_interval_of_a_difference_ends_at_1():
    found = paired_difference(by_task(*[[1]] * 2), by_task(*[[0]] * 2))
    assert (found.low, found.p) == (-1, 0.5)
    assert paired_difference(by_task(*[[0]] * 2), by_task(*[[1]] * 2)).high == 1


def test_sign_flips_agree_with_scipy_beyond_the_exact_range():
    differences = np.random.default_rng(3).normal(0.2, 0.6, 40).tolist()
    reference = stats.permutation_test(
        (np.array(differences),), np.mean, permutation_type="samples", n_resamples=20_000, rng=1
    ).pvalue
    assert sign_flip(differences) == pytest.approx(reference, abs=0.01)
    assert sign_flip(differences) == sign_flip(differences)  # seeded
    assert sign_flip([1.0, 1.0, 1.0, 0.0]) == 0.25
    assert sign_flip([0.1 + 0.2, 0.3, -0.3]) == 1.0  # equal but for rounding


@pytest.mark.parametrize(("tasks", "attempts", "gain"), [(100, 1, 0.0), (50, 4, 0.3), (100, 4, 0.05)])
def test_an_interval_covers_the_true_difference_93_to_97_times_of_100(tasks, attempts, gain):
    rng, hits, repetitions = np.random.default_rng(1), 0, 1000
    truth = gain * 0.5
    for _ in range(repetitions):
        chances = rng.beta(1, 1, tasks)
        first, second = drawn(rng, chances, attempts), drawn(rng, chances + (1 - chances) * gain, attempts)
        found = _interval_only(first, second)
        hits += found.low <= truth <= found.high
    assert 0.93 <= hits / repetitions <= 0.97


def test_runs_without_a_difference_are_called_different_at_most_5_times_of_100():
    rng = np.random.default_rng(2)
    found = []
    for _ in range(300):
        chances = rng.beta(0.5, 0.5, 60)
        found.append(paired_difference(drawn(rng, chances, 1), drawn(rng, chances, 1)).clear)
    assert np.mean(found) <= 0.05


def test_the_detectable_difference_is_found_four_times_of_five():
    rng, found, detectable = np.random.default_rng(4), [], []
    for _ in range(300):
        chances = rng.beta(1, 1, 80) * 0.7
        difference = paired_difference(drawn(rng, chances, 4), drawn(rng, chances + 0.1, 4))
        found.append(difference.clear)
        detectable.append(difference.detectable)
    assert np.mean(detectable) == pytest.approx(0.1, abs=0.002)  # so 0.1 is what is to be found
    assert np.mean(found) == pytest.approx(0.8, abs=0.08)


def test_holms_adjustment_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]


def _interval_only(first, second):
    """Without the sign flips, which are the slow part."""
    with patch("agenttrain.eval.statistics.sign_flip", return_value=1.0):
        return paired_difference(first, second)


def test_best_of_k_is_the_mean_over_every_choice_of_k():
    rng = random.Random(0)
    for _ in range(50):
        n = rng.randint(1, 6)
        attempts = [(rng.choice([0.0, 0.5, 1.0]), rng.random() < 0.5) for _ in range(n)]
        for k in range(1, n + 1):
            values = []
            for some in combinations(attempts, k):
                top = max(score for score, _ in some)
                values.append(fmean(success for score, success in some if score == top))
            assert best_at(k, {"t": attempts}).value == pytest.approx(fmean(values))
    assert best_at(7, {"t": attempts}) is None
    right, wrong = [(1.0, True), (0.0, False)], [(0.0, True), (1.0, False)]
    assert best_at(2, {"a": right, "b": right, "c": wrong}).value == pytest.approx(2 / 3)
