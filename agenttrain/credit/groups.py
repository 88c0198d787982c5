"""Trajectories -> flat arrays: what the strategies of credit share. A group is the attempts at one task."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count
from typing import Literal, TypeVar

import numpy as np

from agenttrain.errors import UserError
from agenttrain.types import FAILED_BY_US, Trajectory

T = TypeVar("T")

Statistics = Literal["trajectory", "turn"]
"""What mean and deviation are taken over: each trajectory once (the papers), or once per turn of it (verl-agent's code,
where a long trajectory counts more)."""

Norm = Literal["std", "none", "loo"]
"""What a difference to the mean is scaled by: 1 / (std + eps), 1, or n / (n - 1), which makes the mean that of the
others (leave one out)."""

PerTurn = list[list[float]]
"""One number for each turn of each trajectory."""


@dataclass(frozen=True)
class Turns:
    """The turns of all attempts that count, one after the other in the order of the batch.

    Attempts that we failed (not the agent) are left out: they enter no baseline, and `shaped` gives them 0. Arrays have
    shape (attempts,) or (turns,).
    """

    batch: Sequence[Trajectory]

    @cached_property
    def played(self) -> list[Trajectory]:
        return [trajectory for trajectory in self.batch if trajectory.stop not in FAILED_BY_US]

    @cached_property
    def task(self) -> np.ndarray:
        """Number of each attempt's group."""
        numbers: dict[str, int] = defaultdict(count().__next__)
        return np.array([numbers[trajectory.task.id] for trajectory in self.played], dtype=np.int64)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Turns of each attempt."""
        return np.array([len(trajectory.turns) for trajectory in self.played], dtype=np.int64)

    @cached_property
    def attempt(self) -> np.ndarray:
        """Of each turn, the number of its attempt: `a[attempt]` is an array over turns."""
        return np.repeat(np.arange(len(self.played)), self.lengths)

    @cached_property
    def number(self) -> np.ndarray:
        """Of each turn, how many the attempt had before."""
        return np.arange(len(self.attempt)) - (np.cumsum(self.lengths) - self.lengths)[self.attempt]

    @cached_property
    def reached(self) -> np.ndarray:
        """Of each turn, a key that is equal for turns of one number in one group."""
        longest = np.zeros(self.task.max(initial=-1) + 1, dtype=np.int64)
        np.maximum.at(longest, self.task, self.lengths)
        return (np.cumsum(longest) - longest)[self.task][self.attempt] + self.number

    @cached_property
    def names(self) -> list[str]:
        """Of the rewards that scored."""
        return list(dict.fromkeys(name for trajectory in self.played for name in trajectory.scores))

    @cached_property
    def rewards(self) -> np.ndarray:
        """Of each turn, the weighted sum of its scores."""
        return self.scores(self.names)

    def scores(self, names: Iterable[str]) -> np.ndarray:
        """Of each turn, the weighted sum of its scores by the rewards of these names.

        Raises:
            UserError: no reward of such a name has scored, or a score is missing or not finite.
        """
        sums = np.zeros(len(self.attempt))
        for name in names:
            if self.played and name not in self.names:
                raise UserError(
                    f"credit wants a reward {name!r}. There are: {', '.join(self.names)}. See reward=[...]."
                )
            weights = np.array([trajectory.weights.get(name, 1.0) for trajectory in self.played])
            rows = (t.scores.get(name, [0.0] * len(t.turns)) for t in self.played)
            sums += weights[self.attempt] * self.flat(rows, f"reward {name!r}")
        return sums

    def flat(self, rows: Iterable[Sequence[float]], what: str) -> np.ndarray:
        """One row for each attempt -> one number for each turn.

        Raises:
            UserError: a row has another length than its attempt, or a number is not finite.
        """
        given = list(rows)
        for trajectory, row in zip(self.played, given, strict=True):
            if len(row) != len(trajectory.turns):
                raise UserError(f"{what}: {len(row)} for the {len(trajectory.turns)} turns of {_called(trajectory)}.")
        values = np.array(list(chain.from_iterable(given)), dtype=float)
        if not np.isfinite(values).all():
            wrong = int(np.argmin(np.isfinite(values)))
            where = f"turn {self.number[wrong]} of {_called(self.played[self.attempt[wrong]])}"
            raise UserError(f"{what}: {values[wrong]} in {where}. Credit needs finite numbers.")
        return values

    def total(self, values: np.ndarray) -> np.ndarray:
        """Values per turn -> their sum per attempt."""
        return np.bincount(self.attempt, values, len(self.played))

    def discounted(self, rewards: np.ndarray, gamma: float) -> np.ndarray:
        """G_t = r_t + gamma G_{t+1} within each attempt."""
        return discounted(rewards, self.lengths, gamma)

    def shaped(self, values: np.ndarray) -> PerTurn:
        """Numbers per turn in the shape of the batch, 0 for attempts that we failed."""
        return self.rows(values.tolist(), 0.0)

    def rows(self, values: Sequence[T], failed: T) -> list[list[T]]:
        """One thing per turn in the shape of the batch, `failed` for attempts that we failed."""
        end, shaped = 0, []
        for trajectory in self.batch:
            if trajectory.stop in FAILED_BY_US:
                shaped.append([failed] * len(trajectory.turns))
            else:
                start, end = end, end + len(trajectory.turns)
                shaped.append(list(values[start:end]))
        return shaped


def relative(turns: Turns, rewards: np.ndarray, norm: Norm, eps: float, statistics: Statistics) -> np.ndarray:
    """How much better each turn's whole attempt did than its group: its sum of `rewards`, `compared`."""
    totals = turns.total(rewards)
    if statistics == "turn":
        return compared(totals[turns.attempt], turns.task[turns.attempt], norm, eps)
    return compared(totals, turns.task, norm, eps)[turns.attempt]


def compared(values: np.ndarray, keys: np.ndarray, norm: Norm, eps: float, ddof: int = 1) -> np.ndarray:
    """Each value against the mean of those with its key, in the units of `norm`; std has n - `ddof`. Alone: 0."""
    size = np.bincount(keys)
    first = np.zeros(len(size))
    first[keys[::-1]] = values[::-1]
    shifted = values - first[keys]  # so that values which are all alike give exactly 0
    centred = shifted - (np.bincount(keys, shifted) / np.maximum(size, 1))[keys]
    if norm == "std":
        scale = (np.sqrt(np.bincount(keys, centred**2) / np.maximum(size - ddof, 1)) + eps)[keys]
        return np.divide(centred, scale, out=np.zeros(len(values)), where=scale > 0)
    return centred * (size / np.maximum(size - 1, 1))[keys] if norm == "loo" else centred


def against_others(turns: Turns, returns: np.ndarray) -> np.ndarray:
    """Each turn's return against the mean of the *other* attempts' at the same turn; alone in its group: 0.

    An attempt that had stopped before has 0 there and stays in the mean, which so has the same number of terms whatever
    the policy does.
    """
    others = (np.bincount(turns.task)[turns.task] - 1)[turns.attempt]
    theirs = np.bincount(turns.reached, returns)[turns.reached] - returns
    return np.where(others > 0, returns - theirs / np.maximum(others, 1), 0.0)


def discounted(values: np.ndarray, lengths: np.ndarray, gamma: float) -> np.ndarray:
    """G_t = value_t + gamma G_{t+1} within each stretch of `lengths`."""
    sums, starts = values.astype(float), np.cumsum(lengths) - lengths
    for place in range(lengths.max(initial=0) - 2, -1, -1):
        here = starts[lengths > place + 1] + place
        sums[here] += gamma * sums[here + 1]
    return sums


def gae(rewards: np.ndarray, values: np.ndarray, lengths: np.ndarray, gamma: float, lam: float) -> np.ndarray:
    """Generalised advantage estimates (arXiv 1506.02438) within each stretch of `lengths`.

    A_t = delta_t + gamma lam A_{t+1}, delta_t = r_t + gamma V_{t+1} - V_t; after the last, V and A are 0.
    """
    following = np.append(values[1:], 0.0)[: len(values)]
    following[np.cumsum(lengths)[lengths > 0] - 1] = 0.0
    return discounted(rewards + gamma * following - values, lengths, gamma * lam)


def whitened(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """(value - mean) / sqrt(var + 1e-8), var with n - 1, as verl's `masked_whiten`; a single value gives 0.

    Args:
        weights: times that each value counts; None for once.
    """
    weights = np.ones(len(values)) if weights is None else weights
    if weights.sum() < 2:
        return np.zeros(len(values))
    centred = values - np.average(values, weights=weights)
    return centred / np.sqrt((weights * centred**2).sum() / (weights.sum() - 1) + 1e-8)


def _called(trajectory: Trajectory) -> str:
    return f"attempt {trajectory.attempt} at task {trajectory.task.id!r}"
