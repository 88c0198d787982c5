"""-> Task: questions about a database, invented or from a file (as Spider's, arXiv 1809.08887)."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from agenttrain.errors import UserError
from agenttrain.jsonfile import read_records
from agenttrain.ranges import Count, Whole
from agenttrain.types import Message, Task
from agenttrain.worlds.databases import SEEN, UNSEEN, Schema, database, queries

SYSTEM = "Answer with one query: look at the database with sql, then submit."
COPIES = 3
"""Databases on which an answer must be right: one could be right by chance."""


class Sql:
    """Questions of one split. Which split a question belongs to is decided by what it asks, never by a seed.

    Args:
        split: `train`, `heldout` (other questions about the same schemas) or `unseen` (schemas that no task of the
            other two has); a file has `train` and `heldout`, split by database; `all` joins what there is.
        n: number of tasks; None for all there are.
        seed: of the choice among the split's questions and of their order.
        rows: seed of the invented databases' rows.
        questions: a file in place of the invented databases, JSON Lines or a JSON array: Spider's (`db_id`, `question`,
            `query`) or InterCode's (`db`, `query`, `gold`). The databases go to `env.databases`.
    """

    def __init__(
        self,
        split: Literal["train", "heldout", "unseen", "all"] = "train",
        n: Count | None = None,
        seed: Whole = 0,
        rows: Whole = 0,
        questions: str | None = None,
    ) -> None:
        if split not in ("train", "heldout", "unseen", "all"):
            raise UserError(f"No split {split!r} in task=sql. Choose one of: train, heldout, unseen, all.")
        if split == "unseen" and questions:
            raise UserError("A file of questions has no split 'unseen'. Choose one of: train, heldout, all.")
        self.split, self.n, self.seed, self.rows, self.questions = split, n, seed, rows, questions

    def __iter__(self) -> Iterator[Task]:
        """
        Raises:
            UserError: the file is missing or malformed, or the split has fewer than `n` questions.
        """
        tasks = list(self._from_file(self.questions) if self.questions else self._invented())
        if self.n is not None and self.n > len(tasks):
            raise UserError(f"task=sql has {len(tasks)} questions in split {self.split}, not {self.n}. Lower task.n.")
        return iter(random.Random(f"sql/{self.seed}").sample(tasks, len(tasks) if self.n is None else self.n))

    def _invented(self) -> Iterator[Task]:
        for schema in self._schemas():
            seeds = [COPIES * self.rows + copy for copy in range(COPIES)]
            for query in queries(database(schema, seeds[0])):
                if schema in UNSEEN or self._ours(query.text):
                    name = f"sql/{schema.thing}-{self.rows}/{query.text.replace(' ', '_')}"
                    yield Task(name, _opening(query.text), query.sql, {"schema": schema.thing, "seeds": seeds})

    def _schemas(self) -> Sequence[Schema]:
        return {"unseen": UNSEEN, "all": SEEN + UNSEEN}.get(self.split, SEEN)

    def _from_file(self, path: str) -> Iterator[Task]:
        for number, (place, record) in enumerate(read_records(path, query=str), start=1):
            intercode = "gold" in record
            db = record.get("db" if intercode else "db_id")
            question, sql = (
                (record["query"], record["gold"]) if intercode else (record.get("question"), record["query"])
            )
            if not (isinstance(db, str) and isinstance(question, str) and isinstance(sql, str)):
                raise UserError(
                    f"{place}: a record has texts db_id, question, query (Spider) or db, query, gold (InterCode)."
                )
            if self._ours(db):
                data = {"db": db} | ({"hardness": record["hardness"]} if "hardness" in record else {})
                yield Task(f"{Path(path).stem}/{number}", _opening(question), sql, data)

    def _ours(self, subject: str) -> bool:
        """A fixed fifth is held out, for every seed."""
        heldout = zlib.crc32(subject.encode()) % 5 == 0
        return self.split == "all" or heldout == (self.split == "heldout")


def _opening(question: str) -> list[Message]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
