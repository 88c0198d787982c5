"""-> Task: questions about an invented encyclopaedia, or from a file in HotpotQA's form (arXiv 1809.09600)."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from agenttrain.errors import UserError
from agenttrain.ranges import Count, Whole
from agenttrain.task.hotpotqa import Question, read_questions
from agenttrain.types import Message, Task
from agenttrain.worlds.library import KINDS, MOST, RELATIONS, Library

SYSTEM = "Search, read what helps, then finish with the answer alone."


class Search:
    """Questions of one split. Which split a question belongs to is decided by what it asks, never by a seed.

    Args:
        split: `train` and `heldout` (about entries that `train` never asks about) chain two relations; `unseen` asks
            about the older of two entries, which no question of the other two does. Of a file, `unseen` are the
            comparisons, and a fixed fifth of the others is held out; `all` takes everything.
        n: number of tasks; None for all of a file, and 200 about the encyclopaedia.
        seed: of the choice among the split's questions and of their order.
        library: seed of the encyclopaedia.
        entries: in it; at least 40.
        questions: a file in place of it, JSON Lines or a JSON array of `{"question", "answer"}`, and if known `id` or
            `_id`, `type` and `supporting_facts`. The corpus for it goes to `env.corpus`.
    """

    def __init__(
        self,
        split: Literal["train", "heldout", "unseen", "all"] = "train",
        n: Count | None = None,
        seed: Whole = 0,
        library: Whole = 0,
        entries: Count = 10_000,
        questions: str | None = None,
    ) -> None:
        if split not in ("train", "heldout", "unseen", "all"):
            raise UserError(f"No split {split!r} in task=search. Choose one of: train, heldout, unseen, all.")
        if not 40 <= entries <= MOST:
            raise UserError(f"task.entries={entries}: the encyclopaedia has 40 to {MOST} entries.")
        self.split, self.n, self.seed = split, n, seed
        self.library, self.entries, self.questions = library, entries, questions

    def __iter__(self) -> Iterator[Task]:
        """
        Raises:
            UserError: the file is missing or malformed, or the split has fewer than `n` questions.
        """
        rng = random.Random(f"search/{self.seed}")
        if not self.questions:
            return iter(self._about_library(rng, self.n or 200))
        pool = [self._from_file(self.questions, q) for q in read_questions(self.questions) if self._holds(q)]
        if self.n is not None and self.n > len(pool):
            raise UserError(f"{self.questions} has {len(pool)} questions in split {self.split}, not {self.n}.")
        return iter(rng.sample(pool, len(pool) if self.n is None else self.n))

    def _holds(self, question: Question) -> bool:
        unseen = question.kind == "comparison"
        return self.split == "all" or (unseen if self.split == "unseen" else not unseen and self._ours(question.text))

    @staticmethod
    def _from_file(path: str, asked: Question) -> Task:
        data = {"gold": asked.gold} if asked.gold else {}
        return Task(f"{Path(path).stem}/{asked.name}", _opening(asked.text), asked.answer, data)

    def _about_library(self, rng: random.Random, n: int) -> list[Task]:
        library, found = Library(self.library, self.entries), dict[str, Task]()
        for _ in range(20 * n):
            if len(found) == n:
                break
            compare = self.split == "unseen" or (self.split == "all" and rng.random() < 1 / 3)
            task = self._older(library, rng) if compare else self._chain(library, rng)
            if task is not None:
                found.setdefault(task.id, task)
        if len(found) < n:
            raise UserError(f"No {n} questions in split {self.split} about {self.entries} entries. Raise task.entries.")
        return list(found.values())

    def _chain(self, library: Library, rng: random.Random) -> Task | None:
        """`What is the river of the birthplace of Ada Pokasa?`"""
        first = rng.randrange(library.entries)
        subject = library.entry(first)
        if not self._ours(subject.title):
            return None
        relation = rng.choice([name for name, leads in RELATIONS[subject.kind].items() if leads])
        middle = library.entry(library.follow(first, relation))
        asked = rng.choice(list(middle.facts))
        answer = middle.facts[asked]
        if answer in f"{subject.title} {subject.text}":
            return None
        text = f"What is the {asked} of the {relation} of {subject.title}?"
        return self._task(library, text, answer, [subject.title, middle.title])

    def _older(self, library: Library, rng: random.Random) -> Task | None:
        """`What is the author of the older of The Pokasa Affair and The Detomu Affair?`"""
        place = rng.randrange(len(KINDS))
        two = rng.sample(range(place, library.entries, len(KINDS)), 2)
        one, other = sorted(map(library.entry, two), key=lambda entry: entry.facts["year"])
        asked = rng.choice([relation for relation in one.facts if relation != "year"])
        if one.facts["year"] == other.facts["year"] or one.facts[asked] in f"{other.title} {other.text} {one.title}":
            return None
        named = " and ".join(library.title(number) for number in two)
        text = f"What is the {asked} of the older of {named}?"
        return self._task(library, text, one.facts[asked], [one.title, other.title])

    def _task(self, library: Library, text: str, answer: str, gold: list[str]) -> Task:
        data = {"library": library.seed, "entries": library.entries, "gold": gold}
        name = f"search/{library.seed}-{library.entries}/{text.rstrip('?').replace(' ', '_')}"
        return Task(name, _opening(text), answer, data)

    def _ours(self, subject: str) -> bool:
        """A fixed fifth is held out, for every seed."""
        heldout = zlib.crc32(subject.encode()) % 5 == 0
        return self.split == "all" or heldout == (self.split == "heldout")


def _opening(question: str) -> list[Message]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
