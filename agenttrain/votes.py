"""What one or several people answered about stored trajectories -> pairs of which one is preferred, values of turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean

from agenttrain.errors import UserError
from agenttrain.labels import ANSWERS, Labels, content
from agenttrain.preferences import Pair, drawn
from agenttrain.types import Trajectory

VOTES = {"first": 1, "equal": 0, "second": -1}
VALUES = {"good": 1.0, "neutral": 0.5, "bad": 0.0}
"""What a mark of a turn is worth as the label of a process reward model."""


def people(files: str | Sequence[str]) -> list[Labels]:
    """The answers in each of the files.

    Raises:
        UserError: one is not there, holds no answer, or holds something else.
    """
    everyone = []
    for file in map(Path, [files] if isinstance(files, str) else files):
        if not file.is_file():
            raise UserError(f"labels: there is no file {file}.")
        everyone.append(Labels(file))
        if not everyone[-1].answers:
            raise UserError(f"labels={file} holds no answer. `agenttrain label` asks for them.")
    return everyone


def preferred(everyone: Sequence[Labels], trajectories: Iterable[Trajectory], most: int, seed: int) -> list[Pair]:
    """The pairs of which more people preferred the one than the other; as many for each make no pair. Comparisons
    count, or, where nobody compared the two, different marks that one person gave within a task. Of more than `most` of
    a task, so many drawn by `seed`."""
    known = {content(trajectory): trajectory for trajectory in trajectories}
    pairs = []
    for (one, other), vote in _votes(everyone, known).items():
        if vote:
            chosen, rejected = (one, other) if vote > 0 else (other, one)
            pairs.append(Pair(known[chosen], known[rejected]))
    return drawn(pairs, most, seed)


def account(everyone: Sequence[Labels], trajectories: Iterable[Trajectory]) -> dict[str, str]:
    """What became of the answers, for a report."""
    known = {content(trajectory): trajectory for trajectory in trajectories}
    answers = [given for labels in everyone for ask in ANSWERS for given in labels.given(ask).values()]
    found = {"answers": f"{len(answers)}, in {len(everyone)} file{'s' if len(everyone) > 1 else ''}"}
    if elsewhere := sum(not known.keys() >= {*given.shown} for given in answers):
        found["about episodes that are not here"] = f"{elsewhere}"
    if draws := sum(not vote for vote in _votes(everyone, known).values()):
        found["pairs of which neither was preferred"] = f"{draws}"
    return found


def told(account: Mapping[str, str]) -> str:
    """In a line, for a message."""
    return "; ".join(f"{name}: {value}" for name, value in account.items())


def turn_values(everyone: Sequence[Labels], trajectories: Iterable[Trajectory]) -> dict[str, dict[int, float]]:
    """`content` of a trajectory -> number of a turn -> what its marks are worth, 0 to 1, as a mean over people."""
    known = {content(trajectory) for trajectory in trajectories}
    found: dict[str, dict[int, list[float]]] = {}
    for labels in everyone:
        for _, (shown,), turn, answer in labels.given("turns").values():
            if shown in known and turn is not None:
                found.setdefault(shown, {}).setdefault(turn, []).append(VALUES[str(answer)])
    return {shown: {turn: fmean(values) for turn, values in turns.items()} for shown, turns in found.items()}


def _votes(everyone: Sequence[Labels], known: dict[str, Trajectory]) -> Mapping[tuple[str, ...], int]:
    """Two trajectories -> how many more preferred the first of them than the second."""
    marked, compared = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    for labels in everyone:
        for shown, vote in _by_marks(labels, known):
            marked[shown] += vote
        for given in labels.given("pairs").values():
            if known.keys() >= {*given.shown}:
                compared[given.shown] += VOTES[str(given.answer)]
    return {**marked, **compared}


def _by_marks(labels: Labels, known: dict[str, Trajectory]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Two trajectories of a task, and 1 or -1. Only marks of the same person are compared: one is stricter than
    another."""
    marks = {given.shown[0]: int(given.answer) for given in labels.given("ratings").values() if given.shown[0] in known}
    for one, other in combinations(sorted(marks), 2):
        if known[one].task.id == known[other].task.id and marks[one] != marks[other]:
            yield (one, other), 1 if marks[one] > marks[other] else -1
