"""Turns -> anchor groups: the turns of one task's attempts that were taken in the same state (arXiv 2505.10978)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from difflib import SequenceMatcher

import numpy as np

from agenttrain.credit.groups import Norm, PerTurn, groups
from agenttrain.types import FAILED_BY_US, Trajectory


def by_state(batch: Sequence[Trajectory], similarity: float = 1.0, history: int = 0) -> list[list[int]]:
    """A number for every turn of every trajectory: equal for equal states of one task's attempts.

    A turn without a state key ("") has a number of its own, and so have all turns of attempts that we failed.

    Args:
        similarity: below 1, a state belongs to the first group whose first member it resembles this much
            (`difflib.SequenceMatcher.ratio`), in the order of the batch.
        history: how many states before this one must be equal as well.
    """
    anchors = [[0] * len(trajectory.turns) for trajectory in batch]
    count = 0
    for group in groups(batch):
        numbers: dict[Hashable, int] = {}
        firsts: list[tuple[str, int]] = []
        for place in group:
            states = [turn.observation.state for turn in batch[place].turns]
            for turn, state in enumerate(states):
                if not state or turn < history:
                    number = count
                elif similarity < 1:
                    number = next((n for first, n in firsts if _alike(state, first) >= similarity), count)
                    if number == count:
                        firsts.append((state, count))
                else:
                    key = tuple(states[turn - history : turn + 1]) if history else state
                    number = numbers.setdefault(key, count)
                anchors[place][turn] = number
                count += number == count
    for place, trajectory in enumerate(batch):
        if trajectory.stop in FAILED_BY_US:
            anchors[place] = list(range(count, count + len(trajectory.turns)))
            count += len(trajectory.turns)
    return anchors


def _alike(state: str, other: str) -> float:
    return SequenceMatcher(None, state, other).ratio()


def against_anchors(anchors: list[list[int]], returns: PerTurn, norm: Norm, eps: float) -> PerTurn:
    """Each turn's return against the mean of its anchor group, in the units of `norm`, std with n - 1; alone: 0."""
    group = np.array([number for row in anchors for number in row], dtype=np.int64)
    values = np.array([value for row in returns for value in row])
    if not len(group):
        return returns
    count = np.bincount(group)
    centred = values - (np.bincount(group, values) / count)[group]
    others = np.maximum(count - 1, 1)
    if norm == "std":
        centred /= np.sqrt(np.bincount(group, centred**2) / others)[group] + eps
    elif norm == "loo":
        centred *= (count / others)[group]
    centred[(count == 1)[group]] = 0.0
    return _like(returns, centred)


def means(anchors: list[list[int]], returns: PerTurn) -> PerTurn:
    """The mean return of each turn's anchor group."""
    group = np.array([number for row in anchors for number in row], dtype=np.int64)
    values = np.array([value for row in returns for value in row])
    return _like(returns, (np.bincount(group, values) / np.bincount(group))[group]) if len(group) else returns


def _like(rows: PerTurn, flat: np.ndarray) -> PerTurn:
    """A flat array in the shape of `rows`."""
    numbers, end, shaped = flat.tolist(), 0, []
    for row in rows:
        start, end = end, end + len(row)
        shaped.append(numbers[start:end])
    return shaped
