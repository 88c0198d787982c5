"""-> Task: questions that need several look-ups in a corpus, about an invented world or from a file (as HotpotQA's)."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from agenttrain.errors import UserError
from agenttrain.ranges import Count, Share, Whole
from agenttrain.task.hotpotqa import read_questions
from agenttrain.types import Message, Task
from agenttrain.worlds.people import Question, World

SYSTEM = "Search for one name at a time, then finish with the answer alone."


class Hopqa:
    """Questions of one split. Which split a question belongs to is decided by what it asks about, never by a seed.

    Args:
        split: `train`, `heldout` (two look-ups about things that `train` never asks about) or `deep` (three look-ups
            about the things of `heldout`); `all` joins the first two.
        n: number of tasks; None for all there are.
        seed: of the choice among the split's questions and of their order.
        world: seed of the invented world.
        size: number of people in it, 20 to 1000.
        one_hop: share of tasks that one look-up answers, 0 to 1; none in `deep`.
        yes_no: share of tasks that put a claim, as StrategyQA does, right or wrong with equal chance, 0 to 1.
        questions: a file in place of the invented world: JSON Lines or a JSON array of `{"question", "answer"}`, and
            if known `id` or `_id` and HotpotQA's `supporting_facts`. The corpus for it goes to `env.corpus`.
    """

    def __init__(
        self,
        split: Literal["train", "heldout", "deep", "all"] = "train",
        n: Count | None = None,
        seed: Whole = 0,
        world: Whole = 0,
        size: Count = 200,
        one_hop: Share = 0.0,
        yes_no: Share = 0.0,
        questions: str | None = None,
    ) -> None:
        if split not in ("train", "heldout", "deep", "all"):
            raise UserError(f"No split {split!r} in task=hopqa. Choose one of: train, heldout, deep, all.")
        if split == "deep" and questions:
            raise UserError("A file of questions has no split 'deep'. Choose one of: train, heldout, all.")
        if not 0 <= one_hop <= 1:
            raise UserError(f"one_hop={one_hop} is no share: take a number from 0 to 1.")
        self.split, self.n, self.seed = split, n, seed
        if yes_no and questions:
            raise UserError("A file of questions is asked as it is: leave out task.yes_no.")
        self.world, self.size, self.one_hop, self.yes_no, self.questions = world, size, one_hop, yes_no, questions

    def __iter__(self) -> Iterator[Task]:
        """
        Raises:
            UserError: the file is missing or malformed, or the split has fewer than `n` questions.
        """
        rng = random.Random(f"hopqa/{self.seed}")
        if self.questions:
            tasks = self._draw(rng, self._from_file(self.questions), self.n)
        elif self.split == "deep":
            tasks = self._draw(rng, self._from_world(3), self.n)
        else:
            tasks = self._mix(rng, self._from_world(1), self._from_world(2))
        rng.shuffle(tasks)
        if self.yes_no:
            claims = round(self.yes_no * len(tasks))
            values: dict[str, set[str]] = {}
            for fact in World(self.world, self.size).questions(1):
                values.setdefault(fact.relations[-1], set()).add(fact.answer)
            tasks = [_claim(task, values) for task in tasks[:claims]] + tasks[claims:]
            rng.shuffle(tasks)
        return iter(tasks)

    def _mix(self, rng: random.Random, one: list[Task], two: list[Task]) -> list[Task]:
        """`n` tasks, `one_hop` of them from `one`; without `n`, as many as keep that share."""
        n = self.n
        if n is None:
            shares = ((one, self.one_hop), (two, 1 - self.one_hop))
            n = min(int(len(pool) / share + 1e-9) for pool, share in shares if share)
        easy = round(n * self.one_hop)
        return self._draw(rng, one, easy) + self._draw(rng, two, n - easy)

    def _draw(self, rng: random.Random, pool: list[Task], n: int | None) -> list[Task]:
        if n is not None and n > len(pool):
            remedy = "Take a smaller n" + ("." if self.questions else " or a larger size.")
            raise UserError(f"task=hopqa has {len(pool)} such questions in split {self.split}, not {n}. {remedy}")
        return rng.sample(pool, len(pool) if n is None else n)

    def _from_world(self, hops: int) -> list[Task]:
        questions = World(self.world, self.size).questions(hops)
        return [self._task(question) for question in questions if self._ours(question.subject)]

    def _task(self, question: Question) -> Task:
        slug = "/".join((question.subject.replace(" ", "_"), *question.relations))
        return Task(
            id=f"hopqa/{self.world}-{self.size}/{slug}",
            messages=_opening(question.text),
            answer=question.answer,
            data={
                "world": self.world,
                "size": self.size,
                "hops": len(question.relations),
                "gold": list(question.gold),
            },
        )

    def _from_file(self, path: str) -> list[Task]:
        return [
            Task(f"{Path(path).stem}/{q.name}", _opening(q.text), q.answer, {"gold": q.gold} if q.gold else {})
            for q in read_questions(path)
            if self._ours(q.text)
        ]

    def _ours(self, subject: str) -> bool:
        """A fixed fifth of all names is held out, in every world and for every seed."""
        heldout = zlib.crc32(subject.encode()) % 5 == 0
        return self.split == "all" or heldout == (self.split != "train")


def _claim(task: Task, values: dict[str, set[str]]) -> Task:
    """The task as a claim: its answer in half of the cases, else another of the values (relation -> all there are)."""
    rng = random.Random(task.id)
    others = values[task.id.rpartition("/")[2]] - {task.answer}  # an id ends in the last relation
    right = not others or rng.random() < 0.5
    asked = task.messages[-1]["content"].split(" is ", 1)[1].removesuffix("?")
    text = f"Is it true that {asked} is {task.answer if right else rng.choice(sorted(others))}?"
    return Task(f"{task.id}/claim", _opening(text), "yes" if right else "no", task.data)


def _opening(question: str) -> list[Message]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
