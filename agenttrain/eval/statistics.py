"""Successes by task -> rates and differences with 95 % intervals; attempts at one task are never taken for independent.

`Results` holds one entry per task: whether each of its attempts succeeded. Coverage of every interval here is measured
in tests/eval/test_statistics.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean, stdev

Results = Mapping[str, Sequence[bool]]
"""Task id -> success of each attempt, at least one. Infrastructure failures are not in it."""

EXACT_UP_TO = 16
"""Tasks that differ, up to which all 2^n sign flips are enumerated; beyond, `DRAWS` of them are drawn."""
DRAWS = 20_000


@dataclass(frozen=True)
class Rate:
    """A share of 1 with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """How much better the second of two runs is on the tasks of both."""

    value: float
    """Mean over tasks of the difference of success rates, -1 to 1."""
    low: float
    high: float
    p: float
    """Two-sided, by sign flips."""
    tasks: int
    rose: int
    """Tasks with a higher rate in the second run."""
    fell: int
    detectable: float
    """The smallest true difference that two runs like these would find (5 % two-sided) about four times in five."""

    @property
    def clear(self) -> bool:
        """True where interval and test agree that there is a difference."""
        return self.p < 0.05 and not self.low <= 0 <= self.high


def success_rate(results: Results) -> Rate:
    """The mean of the tasks' success rates, each task weighing the same.

    Interval: Wilson's with the effective sample size n* in place of n and Student's quantile t (n - 1 degrees of
    freedom) in place of z (Korn and Graubard 1998; Franco et al. 2019), for n tasks with k attempts each and rates p_i:

        p = mean(p_i),  v = var(p_i) / n,  n* = p (1 - p) / v, held between n and n k
        (p + t^2 / 2n*  +-  t sqrt(p (1 - p) / n* + t^2 / 4n*^2)) / (1 + t^2 / n*)

    One attempt per task gives the ordinary Wilson interval but for t. Where all tasks fail (or succeed) every time,
    n* = n. The plain t interval p +- t sqrt(v) covers as little as 40 to 90 % where few tasks succeed; this one 93 to
    98 %, but for rates of 1 or 2 % that a few tasks alone bring about (90 % and more).
    """
    return mean_rate([fmean(attempts) for attempts in results.values()], sum(map(len, results.values())))


def mean_rate(rates: Sequence[float], episodes: int) -> Rate:
    """As `success_rate`, of one number from 0 to 1 per task, which come from so many episodes together."""
    n, p = len(rates), fmean(rates)
    if n < 2:
        return Rate(p, 0.0, 1.0)
    variance = stdev(rates) ** 2 / n
    effective = max(n, min(episodes, p * (1 - p) / variance)) if variance > 0 else episodes if 0 < p < 1 else n
    t = _t(0.975, n)
    centre = p + t**2 / (2 * effective)
    half = t * math.sqrt(p * (1 - p) / effective + (t / (2 * effective)) ** 2)
    shrink = 1 + t**2 / effective
    return Rate(p, max(0.0, (centre - half) / shrink), min(1.0, (centre + half) / shrink))


def standard_error(results: Results) -> float:
    """Of the mean over n tasks of their success rates p_i: sqrt(var(p_i) / n), 0 for a single task.

    Where each task has as many attempts it is the standard error clustered by task (arXiv 2411.00640) with the factor
    n / (n - 1) for few clusters, as Inspect has it.
    """
    rates = [fmean(attempts) for attempts in results.values()]
    return stdev(rates) / math.sqrt(len(rates)) if len(rates) > 1 else 0.0


def pass_at(k: int, results: Results) -> Rate | None:
    """pass@k, at least one of k attempts succeeds: mean over tasks of 1 - C(n-c, k) / C(n, k), unbiased (2107.03374).

    n attempts were made at a task and c succeeded. Tasks with fewer than k attempts are left out; None if all are.
    """
    return _chosen(k, results, lambda n, c: 1 - math.comb(n - c, k) / math.comb(n, k))


def pass_hat(k: int, results: Results) -> Rate | None:
    """pass^k, all of k attempts succeed: mean over tasks of C(c, k) / C(n, k), unbiased (2406.12045); as `pass_at`."""
    return _chosen(k, results, lambda n, c: math.comb(c, k) / math.comb(n, k))


def best_at(k: int, scored: Mapping[str, Sequence[tuple[float, bool]]]) -> Rate | None:
    """Success of the attempt with the highest score of k: mean over tasks of its expectation over all choices of k of
    the n attempts made, so unbiased; of equal scores each is chosen as often. `scored` holds (score, success) of each
    attempt at a task. At k = 1 it is the success rate, and never more than pass@k. Otherwise as `pass_at`.
    """
    enough = [attempts for attempts in scored.values() if len(attempts) >= k]
    if not enough:
        return None
    return mean_rate([_best_of(k, attempts) for attempts in enough], sum(map(len, enough)))


def _best_of(k: int, attempts: Sequence[tuple[float, bool]]) -> float:
    n, above, value = len(attempts), 0, 0.0
    for _, equals in groupby(sorted(attempts, reverse=True), key=lambda attempt: attempt[0]):
        won = [success for _, success in equals]
        chosen = math.comb(n - above, k) - math.comb(n - above - len(won), k)  # the best of the k is one of these
        value += chosen / math.comb(n, k) * fmean(won)
        above += len(won)
    return value


def paired_difference(first: Results, second: Results, seed: int = 0) -> Difference:
    """Success of `second` minus success of `first`, paired by task, on the tasks that both have.

    Interval: Student's t over the n tasks' differences d_i, with two made-up tasks added, whose differences are
    +-1/sqrt(2k), as Agresti and Min (2005) do for k = 1; so a run compared with its like gets no interval of width 0:

        m = sum(d_i) / (n + 2),  v = (sum(d_i^2) + 1/k) / (n + 2) - m^2,  m +- t sqrt(v / (n + 2))

    Test: sign flips of the d_i, exact where few tasks differ (for k = 1 that is McNemar's exact test), else seeded
    draws. Detectable: (t_0.975 + t_0.8) sqrt(v / (n + 2)) (n + 2) / n.

    Raises:
        ValueError: no task in common.
    """
    shared = [task for task in first if task in second]
    if not shared:
        raise ValueError("the two runs have no task in common")
    differences = [fmean(second[task]) - fmean(first[task]) for task in shared]
    n, value = len(shared), fmean(differences)
    rose, fell = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    if n < 2:
        return Difference(value, -1.0, 1.0, 1.0, n, rose, fell, 1.0)
    attempts = fmean(min(len(first[task]), len(second[task])) for task in shared)
    mean = sum(differences) / (n + 2)
    variance = (sum(d * d for d in differences) + 1 / attempts) / (n + 2) - mean**2
    error, t = math.sqrt(variance / (n + 2)), _t(0.975, n)
    return Difference(
        value=value,
        low=max(-1.0, mean - t * error),
        high=min(1.0, mean + t * error),
        p=sign_flip(differences, seed),
        tasks=n,
        rose=rose,
        fell=fell,
        detectable=min(1.0, (t + _t(0.8, n)) * error * (n + 2) / n),
    )


def sign_flip(differences: Sequence[float], seed: int = 0) -> float:
    """Two-sided p-value: how often a mean at least as far from 0 arises if each difference had its sign by chance."""
    import numpy as np

    moved = np.array([d for d in differences if d], dtype=float)
    observed = abs(moved.sum()) - 1e-9  # sums of equal terms in another order differ in the last digits
    if len(moved) <= EXACT_UP_TO:
        sums = np.zeros(1)
        for d in moved:
            sums = np.concatenate([sums - d, sums + d])
        return float((np.abs(sums) >= observed).mean())
    rng = np.random.default_rng(seed)
    hits = sum(
        int((np.abs(rng.choice((-1.0, 1.0), (1000, len(moved))) @ moved) >= observed).sum())
        for _ in range(DRAWS // 1000)
    )
    return (1 + hits) / (1 + DRAWS)


def holm(ps: Sequence[float]) -> list[float]:
    """p-values of several comparisons, adjusted by Holm's step-down rule so that all of them together err in 5 %."""
    adjusted, running = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        running = max(running, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = running
    return adjusted


def _chosen(k: int, results: Results, estimate: Callable[[int, int], float]) -> Rate | None:
    enough = [attempts for attempts in results.values() if len(attempts) >= k]
    if not enough:
        return None
    rates = [estimate(len(attempts), sum(attempts)) for attempts in enough]
    return mean_rate(rates, sum(map(len, enough)))


def margin(values: Sequence[float]) -> float:
    """Half of Student's 95 % interval of the mean of independent numbers, such as one of each seed; at least two."""
    return _t(0.975, len(values)) * stdev(values) / math.sqrt(len(values))


def _t(probability: float, n: int) -> float:
    """Student's quantile for the mean of n tasks."""
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, probability))
