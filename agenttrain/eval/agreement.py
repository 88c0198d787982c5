"""What two people answered to the same questions -> how often it was the same, and how far beyond chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import correlation, fmean

from agenttrain.eval.statistics import Rate, mean_rate

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


def rank_correlation(marks: Sequence[Both]) -> float | None:
    """Spearman's: 1 if both put all into the same order, however high the marks are that each gives; equal marks share
    a rank. None if one of them gave a single mark."""
    from scipy.stats import rankdata

    columns = [list(column) for column in zip(*marks, strict=True)]
    if any(len({*column}) == 1 for column in columns):
        return None
    return correlation(*(rankdata(column).tolist() for column in columns))
