"""What two people answered to the same questions -> how often it was the same, and how far beyond chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import correlation, fmean

from agenttrain.eval.statistics import Rate, margin, mean_rate

Both = tuple[str | int, str | int]
"""The answers of the one and of the other."""


def same_answers(tasks: Sequence[str], answers: Sequence[Both]) -> Rate:
    """Mean over tasks of the share of their questions (at least one) with the same answer; interval by task."""
    shares: dict[str, list[bool]] = {}
    for task, (one, other) in zip(tasks, answers, strict=True):
        shares.setdefault(task, []).append(one == other)
    return mean_rate([fmean(share) for share in shares.values()], len(answers))


def kappa(answers: Sequence[Both], ordered: bool = False) -> float | None:
    """Cohen's kappa (1960): 1 - d / d_e, d the share of different answers and d_e that of two people who give each
    answer as often as these do, but whatever is asked. 1: always the same; 0: as by chance.

    `ordered` (1968): answers are numbers, and a difference counts with its square. None if both only ever gave one and
    the same answer, which says nothing of either.
    """

    def apart(one: str | int, other: str | int) -> int:
        return (int(one) - int(other)) ** 2 if ordered else one != other

    ones, others = Counter(one for one, _ in answers), Counter(other for _, other in answers)
    expected = sum(apart(a, b) * ones[a] * others[b] for a in ones for b in others) / len(answers) ** 2
    return 1 - fmean(apart(*both) for both in answers) / expected if expected else None


def kappa_within(tasks: Sequence[str], answers: Sequence[Both], ordered: bool = False) -> tuple[float, float] | None:
    """The 95 % interval of `kappa`, by leaving out one task after another (jackknife, Student's t), from -1 to 1. It
    holds the true one in 92 to 95 % of draws from 8 tasks and more.

    None where it has none: of a single task, and where every task says the same, as of two who always agree.
    """
    names = sorted({*tasks})
    if len(names) < 2:
        return None
    left = [kappa([both for task, both in zip(tasks, answers, strict=True) if task != name], ordered) for name in names]
    known = [value for value in left if value is not None]
    if len(known) < len(names) or len({*known}) < 2:
        return None
    # The spread of means that share all but one of n tasks, times (n - 1) / sqrt(n), is the standard error of one.
    half = margin(known) * (len(names) - 1)
    whole = kappa(answers, ordered)
    assert whole is not None, "it would be None without a task, too"
    return max(-1.0, whole - half), min(1.0, whole + half)


def rank_correlation(marks: Sequence[Both]) -> float | None:
    """Spearman's: 1 if both put all into the same order, however high the marks are that each gives; equal marks share
    a rank. None if one of them gave a single mark."""
    from scipy.stats import rankdata

    columns = [list(column) for column in zip(*marks, strict=True)]
    if any(len({*column}) == 1 for column in columns):
        return None
    return correlation(*(rankdata(column).tolist() for column in columns))
