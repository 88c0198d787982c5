"""-> Task: questions that take several tools, of an invented warehouse or a file (CodeAct, arXiv 2402.01030)."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence
from typing import Literal

from agenttrain.errors import UserError
from agenttrain.jsonfile import read_records
from agenttrain.ranges import Count, Whole
from agenttrain.types import Task
from agenttrain.worlds import warehouse


class Codeact:
    """Questions whose answer is a number or a few words, each with the tools it is given: functions in Python.

    Args:
        split: `train` or `heldout`, of which neither has the other's questions, or `all`. A fixed fifth is held out.
        n: number of tasks; None for all that a file has, and 100 invented ones.
        seed: of the choice of tasks.
        items: numbers of items that an invented question is about, 1 to 12.
        questions: a file in place of the warehouse: JSON Lines or a JSON array of `{"question", "answer"}`, and where
            it gives tools `"tools"`, the source of their functions. Of an answer in GSM8K's form counts what follows
            `####`.
    """

    def __init__(
        self,
        split: Literal["train", "heldout", "all"] = "train",
        n: Count | None = None,
        seed: Whole = 0,
        items: Sequence[int] = (2, 3, 4),
        questions: str | None = None,
    ) -> None:
        if not items or not all(1 <= number <= len(warehouse.ITEMS) for number in items):
            raise UserError(f"task.items={list(items)}: expected numbers from 1 to {len(warehouse.ITEMS)}.")
        self.split, self.n, self.seed, self.items, self.questions = split, n, seed, list(items), questions

    def __iter__(self) -> Iterator[Task]:
        """
        Raises:
            UserError: the file is missing or malformed, or the split has fewer than `n` tasks.
        """
        return iter(self._from_file(self.questions) if self.questions else self._invented())

    def _from_file(self, path: str) -> list[Task]:
        pool = []
        for number, (_, record) in enumerate(read_records(path, question=str, answer=str), start=1):
            if self._ours(record["question"]):
                answer = record["answer"].rpartition("####")[2].strip()
                pool.append(_task(f"codeact/{number}", record["question"], answer, record.get("tools") or ""))
        n = len(pool) if self.n is None else self.n
        if n > len(pool) or not pool:
            raise UserError(f"{path} has {len(pool)} questions in split {self.split}, not {n}. Take a smaller n.")
        return random.Random(f"codeact/{self.seed}").sample(pool, n)

    def _invented(self) -> list[Task]:
        rng, tasks = random.Random(f"codeact/{self.split}/{self.seed}"), dict[str, Task]()
        n, vain = 100 if self.n is None else self.n, 0
        while len(tasks) < n:
            question, table = warehouse.draw(rng, self.items), warehouse.stock(rng)
            vain += 1
            if question.text not in tasks and self._ours(question.text):
                name = f"codeact/{question.fold}-{question.measure}-{'-'.join(question.items)}"
                tools = warehouse.TOOLS.format(**table)
                tasks[question.text], vain = _task(name, question.text, str(question.answer(table)), tools), 0
            if vain > 1000:
                raise UserError(f"task=codeact has about {len(tasks)} tasks in split {self.split}, not n={n}.")
        return list(tasks.values())

    def _ours(self, question: str) -> bool:
        heldout = zlib.crc32(question.encode()) % 5 == 0
        return self.split == "all" or heldout == (self.split == "heldout")


def _task(name: str, question: str, answer: str, tools: str) -> Task:
    return Task(name, [{"role": "user", "content": question}], answer=answer, data={"tools": tools})
