"""People's answers about stored trajectories <-> a file: which of two was better, a mark, which turns were good."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from agenttrain.errors import UserError
from agenttrain.preferences import Pair, drawn
from agenttrain.store import mend
from agenttrain.trajectory_record import to_record
from agenttrain.types import Trajectory

Ask = Literal["pairs", "ratings", "turns"]
VALUES = {"good": 1.0, "neutral": 0.5, "bad": 0.0}
"""What a mark of a turn is worth as the label of a process reward model."""
SKIPPED = "skip"
ANSWERS: dict[Ask, tuple[str | int, ...]] = {
    "pairs": ("first", "second", "equal", SKIPPED),
    "ratings": (1, 2, 3, 4, 5, SKIPPED),
    "turns": (*VALUES, SKIPPED),
}

OPPOSITE: dict[str | int, str | int] = {"first": "second", "second": "first"}
"""What an answer is called where the two stand the other way round."""


@dataclass(frozen=True)
class Question:
    """About one trajectory, two of the same task, or one turn (from 0)."""

    ask: Ask
    shown: tuple[Trajectory, ...]
    """In the order in which a person sees them."""
    turn: int | None = None

    @property
    def key(self) -> str:
        """The same whichever of two is shown first."""
        return json.dumps([self.ask, sorted(map(content, self.shown)), self.turn])


@dataclass
class Labels:
    """The answers in a file, one JSON line each, synced as it is given. A later answer to a question takes the place of
    an earlier one. A line names trajectories by a digest of what was said and answered in them, so that a label never
    comes to stand for another episode; one that a kill cut short is left out with a warning.

    Raises:
        UserError: the file holds something else.
    """

    path: Path
    answers: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)
    """Key of a question -> its line."""

    def __post_init__(self) -> None:
        if not self.path.is_file():
            return
        text = self.path.read_text(encoding="utf-8")
        for number, line in enumerate(text.split("\n"), start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                key = json.dumps([record["ask"], sorted(record["shown"]), record["turn"]])
                if not isinstance(record["task"], str):
                    raise ValueError(f"{record['task']!r} is no task's id")
                if record["answer"] not in ANSWERS[record["ask"]]:
                    raise ValueError(f"{record['answer']!r} is none of {ANSWERS[record['ask']]}")
                self.answers[key] = record
            except (ValueError, TypeError, KeyError) as error:
                if number == text.count("\n") + 1:
                    logging.getLogger(__name__).warning("%s:%d: left out a torn last line", self.path, number)
                    continue
                raise UserError(f"{self.path}:{number} is no answer of `agenttrain label` ({error}).") from None

    def write(self, question: Question, answer: str | int) -> None:
        """Append an answer, one of `ANSWERS[question.ask]`."""
        record = {
            "ask": question.ask,
            "task": question.shown[0].task.id,
            "shown": [content(trajectory) for trajectory in question.shown],
            "turn": question.turn,
            "answer": answer,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        mend(self.path)
        with self.path.open("ab") as file:
            file.write(json.dumps(record).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.answers[question.key] = record

    def preferred(self, trajectories: Iterable[Trajectory], most: int, seed: int) -> list[Pair]:
        """The pairs of which a person preferred one, by a comparison or else by different marks within a task; of more
        than `most` of a task, so many drawn by `seed`."""
        known = {content(trajectory): trajectory for trajectory in trajectories}
        pairs: dict[tuple[str, str], Pair] = {}
        for one, other in self._by_marks(known):
            pairs[one, other] = Pair(known[one], known[other])
        for record in self._of("pairs", known):
            first, second = record["shown"]
            pairs.pop((first, second), None)
            pairs.pop((second, first), None)
            if record["answer"] in ("first", "second"):
                chosen, rejected = (first, second) if record["answer"] == "first" else (second, first)
                pairs[chosen, rejected] = Pair(known[chosen], known[rejected])
        return drawn(pairs.values(), most, seed)

    def values(self, trajectories: Iterable[Trajectory]) -> dict[str, dict[int, float]]:
        """`content` of a trajectory -> number of a turn -> what its mark is worth, 0 to 1."""
        known: dict[str, dict[int, float]] = {}
        for record in self._of("turns", {content(trajectory) for trajectory in trajectories}):
            known.setdefault(record["shown"][0], {})[record["turn"]] = VALUES[record["answer"]]
        return known

    def given(self, ask: Ask) -> dict[str, tuple[str, str | int]]:
        """Key of each question of a kind that was answered and not skipped -> its task and the answer, that about two
        as if they had been shown in the order of their digests, so that several people's can be compared."""
        return {
            key: (record["task"], _in_order(record))
            for key, record in self.answers.items()
            if record["ask"] == ask and record["answer"] != SKIPPED
        }

    def _by_marks(self, known: dict[str, Trajectory]) -> Iterable[tuple[str, str]]:
        marks = {record["shown"][0]: record["answer"] for record in self._of("ratings", known)}
        for one, other in combinations(marks, 2):
            if known[one].task.id == known[other].task.id and marks[one] != marks[other]:
                yield (one, other) if marks[one] > marks[other] else (other, one)

    def _of(self, ask: Ask, known: Iterable[str]) -> Sequence[dict[str, Any]]:
        known = set(known)
        return [
            record
            for record in self.answers.values()
            if record["ask"] == ask and record["answer"] != SKIPPED and known.issuperset(record["shown"])
        ]


def _in_order(record: dict[str, Any]) -> str | int:
    answer: str | int = record["answer"]
    return answer if record["shown"] == sorted(record["shown"]) else OPPOSITE.get(answer, answer)


def content(trajectory: Trajectory) -> str:
    """16 hex digits of what was said and answered in an episode, and at which attempt at which task."""
    record = to_record(trajectory)
    told = {key: record[key] for key in ("task_id", "task_hash", "attempt", "seed", "messages", "stop")}
    told["step"] = trajectory.meta.get("step")
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
