"""-> Task: a file of prompts, or one prompt as often as asked, for environments that set the scene themselves."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from agenttrain.errors import UserError
from agenttrain.jsonfile import read_records
from agenttrain.ranges import Count, Whole
from agenttrain.types import Task


class Prompts:
    """For env=functions, gymnasium, openenv and trl_class. Without a file, tasks differ by the seed that they give to
    the environment.

    Args:
        file: JSON Lines or a JSON array of `{"prompt"}` or `{"messages"}`, and if known `id`, `answer` and `data` (what
            the environment is told).
        prompt: of each task, where there is no file.
        split: `train` or `heldout` (a fixed fifth of a file; other seeds where there is none); `all` is both of a file.
        n: number of tasks; None for all of a file, and 100 without one.
        seed: of the choice among a file's prompts and of their order.
    """

    def __init__(
        self,
        file: str | None = None,
        prompt: str = "Reach the goal.",
        split: Literal["train", "heldout", "all"] = "train",
        n: Count | None = None,
        seed: Whole = 0,
    ) -> None:
        if split not in ("train", "heldout", "all"):
            raise UserError(f"No split {split!r} in task=prompts. Choose one of: train, heldout, all.")
        self.file, self.prompt, self.split, self.n, self.seed = file, prompt, split, n, seed

    def __iter__(self) -> Iterator[Task]:
        """
        Raises:
            UserError: the file is missing or malformed, or holds fewer than `n` prompts of the split.
        """
        if not self.file:
            message = {"role": "user", "content": self.prompt}
            return (Task(f"prompts/{self.split}/{self.seed + i}", [dict(message)]) for i in range(self.n or 100))
        tasks = [task for task in self._from_file(self.file) if self._ours(task.id)]
        if self.n is not None and self.n > len(tasks):
            raise UserError(f"{self.file} has {len(tasks)} prompts in split {self.split}, not {self.n}.")
        return iter(random.Random(f"prompts/{self.seed}").sample(tasks, len(tasks) if self.n is None else self.n))

    @staticmethod
    def _from_file(path: str) -> Iterator[Task]:
        for number, (place, record) in enumerate(read_records(path), start=1):
            prompt = record.get("prompt") if isinstance(record, dict) else None
            messages: Any = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else None
            messages = messages or (record.get("messages") if isinstance(record, dict) else None)
            if not isinstance(messages, list) or not isinstance(record.get("data", {}), dict):
                raise UserError(f'{place}: a record has a "prompt" or "messages", and "data" that is an object.')
            name = record.get("id", number)
            yield Task(f"{Path(path).stem}/{name}", messages, record.get("answer"), record.get("data", {}))

    def _ours(self, name: str) -> bool:
        heldout = zlib.crc32(name.encode()) % 5 == 0
        return self.split == "all" or heldout == (self.split == "heldout")
