"""Example -> Example: which records are kept and which of their turns train; shared by every form of data."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby, pairwise
from typing import Literal

from agenttrain.errors import UserError
from agenttrain.ranges import Count, Share
from agenttrain.types import Example, Message


@dataclass
class Report:
    """What became of the records: `records` is `kept` and all of `dropped` together."""

    records: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Reason -> number of records."""
    untrained: Counter[str] = field(default_factory=Counter)
    """Reason -> number of the assistant's turns, in any record read, that do not train; those which `turns` leaves out
    are not counted."""


@dataclass(kw_only=True)
class Selected(ABC):
    """Records of one or several files as examples. Each iteration reads the files anew and fills `report`.

    Args:
        path: file to read, or a list of them.
        success: True keeps the records that succeeded, False those that failed, None all.
        turns: `all`, `last`, or the number of turns to train, counted from the first.
        duplicates: keep records that equal an earlier one.
        max_per_task: most records with the same opening messages; None for any number.
        share: about this share of the records, 0 to 1, drawn by `seed`.

    Raises:
        UserError: on iteration: no such file, malformed content, nothing kept.
    """

    path: str | list[str] = field(kw_only=False)
    success: bool | None = None
    turns: Literal["all", "last"] | int = "all"
    duplicates: bool = False
    max_per_task: Count | None = None
    share: Share = 1.0
    seed: int = 0
    report: Report = field(default_factory=Report, init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.turns, int) and self.turns < 1:
            raise UserError(f"data.turns={self.turns}: expected all, last, or a number of first turns from 1.")
        if not 0 < self.share <= 1:
            raise UserError(f"data.share={self.share}: expected a share above 0 and up to 1.")
        if self.max_per_task is not None and self.max_per_task < 1:
            raise UserError(f"data.max_per_task={self.max_per_task}: expected a number from 1, or null.")

    @abstractmethod
    def read(self, path: str) -> Iterator[Example | str]:
        """Every record of a file in order: an example, or why it can be none."""

    def __iter__(self) -> Iterator[Example]:
        self.report = report = Report()
        seen: set[str] = set()
        tasks: Counter[str] = Counter()
        for path in [self.path] if isinstance(self.path, str) else self.path:
            for found in self.read(path):
                report.records += 1
                if reason := found if isinstance(found, str) else self._unwanted(found, seen, tasks):
                    report.dropped[reason] += 1
                elif isinstance(found, Example):
                    report.kept += 1
                    yield found
        if not report.kept:
            reasons = (
                ", ".join(f"{reason}: {count}" for reason, count in report.dropped.items()) or "it holds no record"
            )
            raise UserError(f"{self.path}: no record is left to train on ({reasons}).")

    def _unwanted(self, example: Example, seen: set[str], tasks: Counter[str]) -> str | None:
        """Choose the example's turns; why it is dropped, or None."""
        if self.success is not None and example.success is not self.success:
            return "outcome unknown" if example.success is None else "failed" if self.success else "succeeded"
        choose_turns(example, self.turns)
        if not any(message.get("train") for message in example.messages):
            return "no turn to train"
        content = json.dumps([example.messages, example.tools], sort_keys=True)
        if content in seen and not self.duplicates:
            return "duplicate"
        seen.add(content)
        if self.share < 1 and chance(f"{self.seed} {example.id}") >= self.share:
            return "not in the share"
        task = json.dumps(opening(example.messages))
        tasks[task] += 1
        if self.max_per_task is not None and tasks[task] > self.max_per_task:
            return "more than max_per_task"
        return None


def opening(messages: Sequence[Message]) -> list[Message]:
    """The messages before the assistant's first."""
    first = next((n for n, message in enumerate(messages) if message["role"] == "assistant"), len(messages))
    return list(messages[:first])


def find_fault(messages: Sequence[Message]) -> str | None:
    """Why these messages are no conversation that can train an assistant, or None."""
    roles = [message["role"] for message in messages]
    if "assistant" not in roles:
        return "no assistant message"
    if not any(message["role"] == "user" for message in opening(messages)):
        return "no user message before the assistant's first"
    if ("assistant", "assistant") in pairwise(roles):
        return "two assistant messages in a row"
    empty = (m["role"] == "assistant" and not m["content"].strip() and not m.get("tool_calls") for m in messages)
    return "an empty assistant message" if any(empty) else None


def choose_turns(example: Example, turns: Literal["all", "last"] | int) -> None:
    """Of the messages that train, leave the flag to those chosen, and `mask` to their tokens."""
    trained = [message for message in example.messages if message.get("train")]
    first = len(trained) - 1 if turns == "last" else 0
    chosen = range(first, turns if isinstance(turns, int) else len(trained))
    for number, message in enumerate(trained):
        message["train"] = number in chosen
    if example.mask is not None:
        # Between two turns stands at least the header of the second, so a run of sampled tokens is a turn.
        runs = [list(run) for _, run in groupby(example.mask)]
        number, mask = -1, []
        for run in runs:
            number += run[0]
            mask += [run[0] and number in chosen] * len(run)
        example.mask = mask


def chance(key: str) -> float:
    """A number from 0 to 1 that depends on the key alone."""
    return int.from_bytes(sha256(key.encode()).digest()[:8]) / 2**64
