"""-> Task: function calls to make, or not to make, of the Berkeley Function-Calling Leaderboard's files (BFCL)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agenttrain.errors import UserError
from agenttrain.jsonfile import read_records
from agenttrain.ranges import Count, Whole
from agenttrain.types import Task


class Bfcl:
    """The tasks of one turn: simple, multiple, parallel, irrelevance.

    Args:
        path: a file such as `BFCL_v4_parallel.json`.
        answers: the file of possible answers; None for that of the same name in the folder `possible_answer` beside
            `path`. A file of irrelevance tasks needs none: no call is right.
        n: number of tasks, the first ones after shuffling; None for all there are, in their order.
        seed: of the shuffling.
    """

    def __init__(self, path: str, answers: str | None = None, n: Count | None = None, seed: Whole = 0) -> None:
        self.path, self.answers, self.n, self.seed = path, answers, n, seed

    def __iter__(self) -> Iterator[Task]:
        """
        Raises:
            UserError: a file is missing or of another form, a task has no answer, or there are fewer than `n`.
        """
        gold = self._gold()
        tasks = [
            self._task(place, record, gold)
            for place, record in read_records(self.path, id=str, question=list, function=list)
        ]
        if self.n is not None and self.n > len(tasks):
            raise UserError(f"{self.path} has {len(tasks)} tasks, not {self.n}: take a smaller n.")
        return iter(tasks if self.n is None else random.Random(f"bfcl/{self.seed}").sample(tasks, self.n))

    def _gold(self) -> dict[str, Any] | None:
        """Possible answers by the task's id; None where every call is wrong."""
        beside = Path(self.path).parent / "possible_answer" / Path(self.path).name
        if self.answers is None and "irrelevance" in beside.name:
            return None
        records = read_records(self.answers or beside, id=str, ground_truth=list)
        return {record["id"]: record["ground_truth"] for _, record in records}

    def _task(self, place: str, record: dict[str, Any], gold: dict[str, Any] | None) -> Task:
        if len(record["question"]) != 1:
            raise UserError(f"{place}: a task of {len(record['question'])} turns; task=bfcl takes those of one.")
        if gold is not None and record["id"] not in gold:
            raise UserError(f"{place}: no possible answer for {record['id']}.")
        answer = [] if gold is None else gold[record["id"]]
        unknown = {name for call in answer for name in call} - {function["name"] for function in record["function"]}
        if unknown:
            raise UserError(f"{place}: the answer calls {', '.join(unknown)}, which is none of the task's functions.")
        return Task(record["id"], record["question"][0], answer, {"functions": record["function"]})
