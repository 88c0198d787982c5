"""Task -> Episode: look at a database with queries, then submit one whose result is the answer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from agenttrain.env.tools import BadCall, answers, read_call, refused, tool
from agenttrain.errors import UserError
from agenttrain.ranges import Count, Positive
from agenttrain.sql.postgresql import Postgresql
from agenttrain.sql.sqlite import Sqlite
from agenttrain.sql.workers import Failure, Result
from agenttrain.types import Message, Observation, Task, Tool
from agenttrain.worlds.databases import SEEN, UNSEEN, database

TOOLS = [
    tool("sql", "Run a query.", query={"type": "string"}),
    tool("submit", "Answer with a query.", query={"type": "string"}),
]
GRADED = 100_000
"""Most rows of a result that is compared."""
MANY = 64
"""Columns beyond which no result is compared in another order of columns."""

Rows = Sequence[tuple[Any, ...]]


class Sql:
    """A database to read, invented or the user's. The submitted query must have the gold one's result.

    Args:
        server: connection URL of the superuser of a PostgreSQL server that was started for it; None: SQLite.
        databases: folder of `<db>.sqlite` or `<db>/<db>.sqlite` files, for tasks of `task.questions`; for PostgreSQL
            `.sql`, as pg_dump writes them.
        match: how results are compared. `test_suite` (arXiv 2010.02840): as bags of rows, columns in any order, rows in
            order if the gold query orders them. `bird_ex` (arXiv 2305.03111): as sets of rows, columns in order.
        show_schema: the opening message names tables and columns; otherwise the policy has to look them up.
        rows: most rows that an observation shows.
        max_chars: most characters of an observation; what is longer is cut.
        seconds: a query may take; then its process is killed.
        workers: processes that run queries.
    """

    def __init__(
        self,
        server: str | None = None,
        databases: str | None = None,
        match: Literal["test_suite", "bird_ex"] = "test_suite",
        show_schema: bool = True,
        rows: Count = 20,
        max_chars: Count = 1000,
        seconds: Positive = 5.0,
        workers: Count = 2,
    ) -> None:
        if match not in ("test_suite", "bird_ex"):
            raise UserError(f"No env.match={match!r}. Choose test_suite or bird_ex.")
        self.server, self.databases, self.match, self.show_schema = server, databases, match, show_schema
        self.rows, self.max_chars, self.seconds, self.workers = rows, max_chars, seconds, workers
        self._engine = Sqlite(workers, seconds) if server is None else Postgresql(server, workers, seconds)

    @property
    def versions(self) -> dict[str, str]:
        """Of what runs the queries; a server's, once it was asked."""
        return self._engine.versions

    def episode(self, task: Task, seed: int) -> SqlEpisode:
        """
        Raises:
            UserError: the task's database is not there.
        """
        return SqlEpisode(task, self._copies(task), self, self._engine)

    def _copies(self, task: Task) -> list[dict[str, str]]:
        """The task's database, and after it others of the same schema on which the answer must be right as well."""
        if "schema" in task.data:
            schema = next(schema for schema in (*SEEN, *UNSEEN) if schema.thing == task.data["schema"])
            return [{"script": database(schema, seed).script} for seed in task.data["seeds"]]
        if "db" not in task.data:
            raise UserError(f"Task {task.id} names no database. env=sql plays task=sql.")
        if self.databases is None:
            raise UserError(f"Task {task.id} asks about the database {task.data['db']}. Give env.databases=FOLDER.")
        name, file = task.data["db"], task.data["db"] + self._engine.suffix
        for path in (Path(self.databases, file), Path(self.databases, name, file)):
            if path.is_file():
                return [{"path": str(path.resolve())}]
        raise UserError(f"There is no {file} in {self.databases} (nor in its folder {name}).")


class SqlEpisode:
    """One attempt, over at the first `submit`.

    `feedback` of a query holds `rows` (how many it returned) or `tool_error`; of the submission `success`.
    """

    def __init__(self, task: Task, copies: list[dict[str, str]], settings: Sql, engine: Sqlite | Postgresql) -> None:
        self.task, self.copies, self.settings, self.engine = task, copies, settings, engine
        self.seen: set[str] = set()
        """What queries have shown so far."""

    @property
    def tools(self) -> list[Tool]:
        return TOOLS

    @property
    def state(self) -> str:
        """The question and what queries have shown, in whatever order."""
        return f"{self.task.id} {sorted(self.seen)}"

    def start(self) -> list[Message]:
        if not self.settings.show_schema:
            return self.task.messages
        *before, question = self.task.messages
        return [*before, {**question, "content": f"{_schema(self._run(self.engine.tables))}\n{question['content']}"}]

    def step(self, action: Message) -> Observation:
        state, call = self.state, read_call(action, TOOLS)
        if isinstance(call, BadCall):
            return refused(action, call, state)
        if call.name == "submit":
            success = all(self._right(copy, call.arguments["query"]) for copy in self.copies)
            return Observation([], float(success), True, state, {"success": success})
        result = self.engine.run(self.copies[0], call.arguments["query"], self.settings.rows)
        if isinstance(result, Failure):
            text, facts = f"Error: {result.reason}", {"tool_error": result.reason}
        else:
            text, facts = _table(result), {"rows": len(result.rows)}
        text = text[: self.settings.max_chars]
        self.seen.add(text)
        return Observation(answers(action, call, text), state=state, feedback=facts)

    def close(self) -> None:
        pass

    def _run(self, query: str) -> Result:
        result = self.engine.run(self.copies[0], query, GRADED)
        if isinstance(result, Failure):
            raise UserError(f"The database of task {self.task.id} cannot be read: {result.reason}.")
        return result

    def _right(self, copy: dict[str, str], query: str) -> bool:
        gold = self.engine.run(copy, self.task.answer, GRADED)
        if isinstance(gold, Failure) or gold.more:
            why = gold.reason if isinstance(gold, Failure) else f"it has more than {GRADED} rows"
            raise ValueError(f"the gold query of task {self.task.id} cannot be compared with: {why}")
        given = self.engine.run(copy, query, GRADED)
        if isinstance(given, Failure) or given.more:
            return False
        if self.settings.match == "bird_ex":
            return set(given.rows) == set(gold.rows)
        return same_rows(given.rows, gold.rows, ordered=bool(_ORDERS.search(self.task.answer)))


_ORDERS = re.compile(r"\border\s+by\b", re.IGNORECASE)


def same_rows(given: Rows, gold: Rows, ordered: bool) -> bool:
    """Equal bags of rows, or equal lists if `ordered`, for some order of the columns of `given`."""
    if len(given) != len(gold):
        return False
    if not gold:
        return True
    width = len(gold[0])
    if len(given[0]) != width:
        return False
    as_bag = list if ordered else Counter
    columns, wanted = list(zip(*given, strict=True)), list(zip(*gold, strict=True))
    fits = [[place for place in range(width) if as_bag(columns[place]) == as_bag(column)] for column in wanted]
    if width > MANY:
        fits = [[place] if place in places else [] for place, places in enumerate(fits)]

    def placed(taken: list[int]) -> bool:
        if len(taken) == width:
            return as_bag([tuple(row[place] for place in taken) for row in given]) == as_bag(list(gold))
        return any(placed([*taken, place]) for place in fits[len(taken)] if place not in taken)

    return placed([])


def _table(result: Result) -> str:
    lines = [" | ".join(result.columns), *(" | ".join(map(_shown, row)) for row in result.rows)]
    return "\n".join([*lines, "..."] if result.more else lines)


def _shown(cell: Any) -> str:
    return "NULL" if cell is None else str(cell)


def _schema(tables: Result) -> str:
    return "\n".join(f"{name}({columns})" for name, columns in tables.rows)
