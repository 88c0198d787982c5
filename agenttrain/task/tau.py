"""-> Task: tau-bench's retail and airline tasks (arXiv 2406.12045), read from a folder; they belong with env=api."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from agenttrain.errors import UserError
from agenttrain.jsonfile import read_records
from agenttrain.ranges import Count, Whole
from agenttrain.types import Task

ALONE = """

The customer cannot be asked anything: what they want is told below, and they have agreed to every action that it needs.
Finish with what you would tell them, the figures that they asked for included."""


class Tau:
    """The domain's policy and the customer's instruction, told at once: nobody plays the customer.

    Args:
        folder: a domain: `tools.json`, `policy_wiki.md`, the tables, and `tasks_<split>.jsonl`.
        split: which file of tasks; the airline domain has `test` only.
        n: number of tasks, the first ones after shuffling; None for all there are, in their order.
        seed: of the shuffling.
    """

    def __init__(
        self,
        folder: str,
        split: Literal["train", "dev", "test"] = "train",
        n: Count | None = None,
        seed: Whole = 0,
    ) -> None:
        if split not in ("train", "dev", "test"):
            raise UserError(f"No split {split!r} in task=tau. Choose one of: train, dev, test.")
        self.folder, self.split, self.n, self.seed = folder, split, n, seed

    def __iter__(self) -> Iterator[Task]:
        """
        Raises:
            UserError: a file is missing or malformed, or the split has fewer than `n` tasks.
        """
        folder = Path(self.folder).resolve()
        try:
            policy = (folder / "policy_wiki.md").read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(f"task.folder={self.folder} has no policy_wiki.md ({error.strerror}).") from None
        tasks = []
        for number, (place, record) in enumerate(
            read_records(folder / f"tasks_{self.split}.jsonl", instruction=str, actions=list)
        ):
            opening = [
                {"role": "system", "content": policy.rstrip() + ALONE},
                {"role": "user", "content": record["instruction"]},
            ]
            try:
                calls = [[action["name"], action["kwargs"]] for action in record["actions"]]
            except (TypeError, KeyError):
                raise UserError(f"{place}: actions are a list of {{'name', 'kwargs'}}.") from None
            answer = {"calls": calls} | ({"mentions": record["outputs"]} if record.get("outputs") else {})
            tasks.append(Task(f"tau/{folder.name}/{self.split}/{number}", opening, answer, {"tau": str(folder)}))
        if self.n is None:
            return iter(tasks)
        if self.n > len(tasks):
            raise UserError(f"{folder.name} has {len(tasks)} tasks in split {self.split}, not {self.n}. Lower task.n.")
        return iter(random.Random(f"tau/{self.seed}").sample(tasks, self.n))
