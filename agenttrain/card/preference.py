"""Scores of stored trajectories and their successes -> how well a reward tells them apart, without training by it.

Trajectory Preference Evaluation of CARD (arXiv 2410.14660). The paper's statistic is the mean per step; the return is
the default here, because it is what training maximises.
"""

from __future__ import annotations

from collections.abc import Sequence
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
