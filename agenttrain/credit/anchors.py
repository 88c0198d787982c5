"""Turns -> anchor groups: the turns of one task's attempts that were taken in the same state (arXiv 2505.10978)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import count

import numpy as np

from agenttrain.credit.groups import Turns


def by_state(turns: Turns, similarity: float = 1.0) -> np.ndarray:
    """A number for each turn, equal for equal states of one task's attempts.

    A turn without a state key ("") has a number of its own. Below a `similarity` of 1, a state belongs to the first
    cluster whose first member it resembles that much (`difflib.SequenceMatcher.ratio`), in the order of the batch.
    """
    numbers = count()
    known: dict[int, dict[str, int]] = defaultdict(
        lambda: defaultdict(numbers.__next__) if similarity >= 1 else _Clusters(similarity, numbers)
    )
    anchors: list[int] = []
    for task, trajectory in zip(turns.task.tolist(), turns.played, strict=True):
        table = known[task]
        states = [turn.observation.state for turn in trajectory.turns]
        anchors += [table[state] if state else next(numbers) for state in states]
    return np.array(anchors, dtype=np.int64)


def by_history(turns: Turns, shorter: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """A number for each turn, equal where the state is (`anchors`) and the turn before had equal numbers in `shorter`.

    A turn with none before has a number of its own.
    """
    before = np.append(0, shorter)[:-1]
    pairs = before * (anchors.max(initial=0) + 1) + anchors
    numbers = np.unique(pairs, return_inverse=True)[1]
    return np.where(turns.number == 0, len(numbers) + np.arange(len(numbers)), numbers)


class _Clusters(dict[str, int]):
    """State -> number of its cluster; a state that resembles no cluster's first member enough begins one."""

    def __init__(self, similarity: float, numbers: Iterator[int]) -> None:
        self._similarity, self._numbers = similarity, numbers
        self._firsts: list[tuple[SequenceMatcher[str], int]] = []

    def __missing__(self, state: str) -> int:
        number = next((number for first, number in self._firsts if self._resembles(state, first)), None)
        if number is None:
            number = next(self._numbers)
            self._firsts.append((SequenceMatcher(None, "", state), number))
        self[state] = number
        return number

    def _resembles(self, state: str, first: SequenceMatcher[str]) -> bool:
        first.set_seq1(state)
        # The first two are quick upper bounds of the third.
        bounds = (first.real_quick_ratio, first.quick_ratio, first.ratio)
        return all(bound() >= self._similarity for bound in bounds)
