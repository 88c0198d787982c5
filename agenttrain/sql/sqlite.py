"""Query -> rows, on SQLite."""

from __future__ import annotations

import sqlite3
from typing import ClassVar

from agenttrain.sql.workers import Failure, Result, Workers


class Sqlite:
    """Runs queries on files, or on databases in memory that a script makes.

    Args:
        workers: processes.
        seconds: a query may take.
    """

    suffix = ".sqlite"
    """Of a file that holds a database."""
    tables = (
        "SELECT m.name, group_concat(p.name, ', ') FROM sqlite_master m JOIN pragma_table_info(m.name) p "
        "WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' GROUP BY m.name ORDER BY m.rowid"
    )
    """The query for names of tables, each with those of its columns."""
    versions: ClassVar = {"SQLite": sqlite3.sqlite_version}

    def __init__(self, workers: int, seconds: float) -> None:
        self._workers = Workers("sqlite_worker.py", workers, seconds, grace=0.5, flags=("-S",))

    def run(self, database: dict[str, str], query: str, rows: int) -> Result | Failure:
        """At most `rows` rows of `query` on `database` (`{"path": ...}` or `{"script": ...}`).

        Raises:
            InfraError: no process could be started.
        """
        result = self._workers.run(database, query, rows)
        return self._workers.stopped if result is None else result

    def close(self) -> None:
        """End the processes that are idle; others end with their query."""
        self._workers.close()
