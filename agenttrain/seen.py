"""Records and tasks that trained a model -> digests beside its weights, by which an evaluation knows them again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from agenttrain.trajectory_record import digest, task_hash
from agenttrain.types import Example, Message, Task, Trajectory

FILE = "trained_on.txt"
"""In a model's folder: a line for each task or question, of this training and those before it."""


def of_task(task: Task) -> str:
    """The task by its content, whatever its id."""
    return f"task {task_hash(task)}"


def of_example(example: Example) -> str | None:
    """The task that was played, where the record knows it, else what is asked before the first reply; None of a plain
    text, or where nothing is asked."""
    return f"task {example.task}" if example.task else _asked(example.messages)


def write(model: Path, base: str, marks: Iterable[str | None]) -> None:
    """Beside the weights in `model`, with what its `base` (a folder, or the name of a model) was trained on."""
    known = {mark for mark in marks if mark} | (read(base) or set())
    (model / FILE).write_text("".join(f"{mark}\n" for mark in sorted(known)), encoding="utf-8")


def read(model: str) -> set[str] | None:
    """What the model in this folder was trained on with agenttrain; None where no training has said so."""
    file = Path(model) / FILE
    return set(file.read_text(encoding="utf-8").split("\n")) - {""} if file.is_file() else None


def tasks_seen(trajectories: Iterable[Trajectory], marks: set[str]) -> set[str]:
    """Ids of the tasks that a model with these marks was trained on, by the task itself or by its question."""
    return {t.task.id for t in trajectories if marks & {of_task(t.task), _asked(t.messages)}}


def _asked(messages: Iterable[Message]) -> str | None:
    """Case, punctuation and white space do not count."""
    words: list[str] = []
    for message in messages:
        if message["role"] == "assistant":
            break
        if message["role"] == "user":
            words += re.findall(r"\w+", str(message.get("content")).lower())
    return f"question {digest(' '.join(words))}" if words else None
