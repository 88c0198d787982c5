"""Query -> rows, on PostgreSQL."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

from agenttrain.sql.server import Server
from agenttrain.sql.workers import Failure, Result, Workers


class Postgresql:
    """Runs queries on databases that it makes on a server, each query with a connection of its own.

    Args:
        server: connection URL of a superuser, on a server that was started for it.
        workers: processes, each with one connection at a time.
        seconds: a query may take.
    """

    suffix = ".sql"
    """Of a file that holds a database."""
    tables = (
        "SELECT concat(nullif(quote_ident(table_schema), 'public') || '.', quote_ident(table_name)), "
        "string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) FROM information_schema.columns "
        "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') "
        "GROUP BY table_schema, table_name ORDER BY table_schema, table_name"
    )
    """The query for names of tables, each with those of its columns, as a query has to write them."""

    def __init__(self, server: str, workers: int, seconds: float) -> None:
        self._server = Server(server)
        # The server stops a query itself, so that the kill is for what does not stop there.
        self._workers = Workers("postgresql_worker.py", workers, seconds, grace=5.0)
        self._logins: dict[str, dict[str, str]] = {}
        self._making = threading.Lock()

    @property
    def versions(self) -> dict[str, str]:
        """Of the server, once it was met."""
        return {"PostgreSQL": self._server.version} if self._server.version else {}

    def run(self, database: dict[str, str], query: str, rows: int) -> Result | Failure:
        """At most `rows` rows of `query` on `database` (`{"path": ...}` of a script, or `{"script": ...}`).

        Raises:
            UserError: the server was never there or is not ours to prepare, or the script is faulty.
            InfraError: the server is gone, or no process could be started.
        """
        application = f"agenttrain-{uuid.uuid4().hex}"
        result = self._workers.run({**self._login(database), "application_name": application}, query, rows)
        if result is None:
            self._server.end(application)
            return self._workers.stopped
        return result

    def close(self) -> None:
        """End the processes that are idle; others end with their query."""
        self._workers.close()

    def _login(self, database: dict[str, str]) -> dict[str, str]:
        key = database.get("path") or database["script"]
        with self._making:
            if key not in self._logins:
                script = Path(key).read_text(encoding="utf-8") if "path" in database else key
                self._logins[key] = self._server.login(script, database.get("path", "A script"))
            return self._logins[key]
