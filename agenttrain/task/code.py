"""-> Task: write a Python function, verified by tests: an invented one, or one of MBPP, HumanEval or GSM8K."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from typing import Any, Literal

from agenttrain.errors import UserError
from agenttrain.ranges import Count, Whole
from agenttrain.task.code_files import Problem, read_problems
from agenttrain.types import Task
from agenttrain.worlds import list_steps
from agenttrain.worlds.list_steps import Step

SYSTEM = (
    "Solve the task in Python. Try code with python; its names stay from call to call. "
    "Then give the whole program with submit."
)


class Code:
    """Functions to write. The tests are the task's answer, which only the grader reads.

    Invented tasks chain two or three steps over a list of integers. `train` and `heldout` have the same steps, never
    the same chain of them; each task of `unseen` has steps that neither has.

    Args:
        split: `train`, `heldout`, `unseen`, or `all` (`train` and `heldout`). Of a file, MBPP's own split by number
            (601 to 974 train, 11 to 510 held out); of other files a fixed fifth is held out.
        n: number of tasks; None for all that a file has, and 100 invented ones.
        seed: of the choice of tasks.
        problems: a file in place of invented tasks: JSON Lines (`.gz` too) or a JSON array of MBPP, HumanEval or GSM8K.
    """

    def __init__(
        self,
        split: Literal["train", "heldout", "unseen", "all"] = "train",
        n: Count | None = None,
        seed: Whole = 0,
        problems: str | None = None,
    ) -> None:
        if split not in ("train", "heldout", "unseen", "all"):
            raise UserError(f"No split {split!r} in task=code. Choose one of: train, heldout, unseen, all.")
        if split == "unseen" and problems:
            raise UserError("A file of problems has no split 'unseen'. Choose one of: train, heldout, all.")
        self.split, self.n, self.seed, self.problems = split, n, seed, problems

    def __iter__(self) -> Iterator[Task]:
        """
        Raises:
            UserError: the file is missing or malformed, or the split has fewer than `n` tasks.
        """
        return iter(self._from_file(self.problems) if self.problems else self._invented())

    def _from_file(self, path: str) -> list[Task]:
        pool = [problem for problem in read_problems(path) if self.split in ("all", problem.split)]
        n = len(pool) if self.n is None else self.n
        if n > len(pool) or not pool:
            raise UserError(f"{path} has {len(pool)} problems in split {self.split}, not {n}. Take a smaller n.")
        return [_task(problem) for problem in random.Random(f"code/{self.seed}").sample(pool, n)]

    def _invented(self) -> list[Task]:
        rng, tasks = random.Random(f"code/{self.split}/{self.seed}"), dict[str, Task]()
        n, vain = 100 if self.n is None else self.n, 0
        while len(tasks) < n:
            steps = list_steps.draw(rng, self.split == "unseen")
            problem = _invent(steps) if self._ours(steps) else None
            vain += 1
            if problem is not None and problem.id not in tasks:
                tasks[problem.id], vain = _task(problem), 0
            if vain > 1000:
                raise UserError(f"task=code has about {len(tasks)} tasks in split {self.split}, not n={n}.")
        return list(tasks.values())

    def _ours(self, steps: list[Step]) -> bool:
        heldout = zlib.crc32("/".join(name for name, _ in steps).encode()) % 5 == 0
        return self.split in ("all", "unseen") or heldout == (self.split == "heldout")


def _invent(steps: list[Step]) -> Problem | None:
    """The problem of these steps; None if its tests would pass a program that does too little."""
    name = "-".join(f"{name}{number}" for name, number in steps)
    rng = random.Random(name)
    inputs = [[rng.randint(-9, 20) for _ in range(size)] for size in (4, 0, 3, 5, 6, 7, 8)]
    results: list[Any] = [list_steps.result(steps, numbers) for numbers in inputs]
    lazy = [[list_steps.result(steps[:end], numbers) for numbers in inputs] for end in range(len(steps))]
    if results in lazy or len({str(value) for value in results}) < 4:
        return None
    lines = [f"{number}. {sentence}" for number, sentence in enumerate(list_steps.sentences(steps), start=1)]
    example = f"Example: solve({inputs[0]}) returns {results[0]}."
    text = "\n".join(["Write solve(xs) for a list of integers xs:", *lines, example])
    calls = [
        {"function": "solve", "arguments": [numbers], "expected": value}
        for numbers, value in zip(inputs[1:], results[1:], strict=True)
    ]
    return Problem(f"code/{name}", text, {"calls": calls}, "")


def _task(problem: Problem) -> Task:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": problem.text}]
    return Task(problem.id, messages, answer=problem.tests)
