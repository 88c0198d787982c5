"""Scores of stored trajectories and their successes -> how well a reward tells them apart, without training by it.

Trajectory Preference Evaluation of CARD (arXiv 2410.14660). The paper's statistic is the mean per step; the return is
the default here, because it is what training maximises.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import accumulate, combinations
from typing import Literal

Statistic = Literal["return", "mean_step"]
Rule = Literal["above_best_failure", "pair_accuracy"]


def value(scores: Sequence[float], statistic: Statistic) -> float:
    """One number for a trajectory's scores (one per turn, at least one)."""
    return sum(scores) / (1 if statistic == "return" else len(scores))


def share_right(successes: Sequence[float], failures: Sequence[float], rule: Rule) -> float | None:
    """Share of the successes whose value is above that of every failure, or of the pairs whose success has the higher
    one. A tie is not right. None where there are only successes or only failures: nothing can be told then."""
    if not successes or not failures:
        return None
    below = failures if rule == "pair_accuracy" else [max(failures)]
    return sum(good > bad for good in successes for bad in below) / (len(successes) * len(below))


def told_apart(failures: Sequence[float]) -> float:
    """Share of the pairs of failures that are valued differently, beyond rounding; 0 where there is no pair."""
    pairs = list(combinations(failures, 2))
    return sum(not math.isclose(one, other) for one, other in pairs) / len(pairs) if pairs else 0.0


def stopping_gain(successes: Sequence[Sequence[float]], failures: Sequence[Sequence[float]]) -> float | None:
    """What a failure had earned at its best turn, of one or more, above what it had earned in the end: the mean over
    failures, as a share of how far the mean return of successes stands above theirs.

    0: nothing that was paid is taken back. An agent that ends its episode there, with a garbled call for one, keeps it,
    and learns that sooner than the task. None where there are only successes or only failures, or successes do not earn
    more.
    """
    if not successes or not failures:
        return None
    returns = [sum(scores) for scores in failures]
    worth = statistics.fmean(map(sum, successes)) - statistics.fmean(returns)
    best = [max(accumulate(scores)) for scores in failures]
    return (statistics.fmean(best) - statistics.fmean(returns)) / worth if worth > 0 else None


def pattern(values: Sequence[float], turns: Sequence[int], won: Sequence[bool]) -> str:
    """What the values of trajectories go by, in words for whoever wrote the function; both outcomes occur in `won`.

    The chance that a success is above a failure counts a tie as a half. It is called no better than chance within 1.96
    standard errors of 0.5 (Mann and Whitney's, without ties).
    """
    if min(values) == max(values):
        return f"every trajectory gets the same, {values[0]:g}"
    good = [value for value, success in zip(values, won, strict=True) if success]
    bad = [value for value, success in zip(values, won, strict=True) if not success]
    pairs = len(good) * len(bad)
    chance = sum((a > b) + 0.5 * (a == b) for a in good for b in bad) / pairs
    error = ((len(values) + 1) / (12 * pairs)) ** 0.5
    told = f"a success is above a failure with probability {chance:.2f}"
    if chance < 0.5 - 1.96 * error:
        told += ", so successes stand below failures"
    elif chance <= 0.5 + 1.96 * error:
        told += ", no better than chance"
    alike = statistics.correlation(values, turns) if min(turns) < max(turns) else 0.0
    if abs(alike) > 0.99:
        told += f"; the value goes by the number of turns (correlation {alike:.2f})"
    return told
