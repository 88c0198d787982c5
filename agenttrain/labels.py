"""People's answers about stored trajectories <-> a file: which of two was better, a mark, which turns were good."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple

from agenttrain.errors import UserError
from agenttrain.store import mend
from agenttrain.trajectory_record import to_record
from agenttrain.types import Trajectory

Ask = Literal["pairs", "ratings", "turns"]
SKIPPED = "skip"
ANSWERS: dict[Ask, tuple[str | int, ...]] = {
    "pairs": ("first", "second", "equal", SKIPPED),
    "ratings": (1, 2, 3, 4, 5, SKIPPED),
    "turns": ("good", "neutral", "bad", SKIPPED),
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


class Given(NamedTuple):
    """An answer, that about two as if they had been shown in the order of their digests, so that several people's can
    be compared."""

    task: str
    shown: tuple[str, ...]
    """`content` of each trajectory."""
    turn: int | None
    answer: str | int


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

    def given(self, ask: Ask) -> dict[str, Given]:
        """Key of each question of a kind that was answered and not skipped -> the answer."""
        return {
            key: Given(record["task"], tuple(sorted(record["shown"])), record["turn"], _in_order(record))
            for key, record in self.answers.items()
            if record["ask"] == ask and record["answer"] != SKIPPED
        }


def _in_order(record: dict[str, Any]) -> str | int:
    answer: str | int = record["answer"]
    return answer if record["shown"] == sorted(record["shown"]) else OPPOSITE.get(answer, answer)


def content(trajectory: Trajectory) -> str:
    """16 hex digits of what was said and answered in an episode, and at which attempt at which task."""
    record = to_record(trajectory)
    told = {key: record[key] for key in ("task_id", "task_hash", "attempt", "seed", "messages", "stop")}
    told["step"] = trajectory.meta.get("step")
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
