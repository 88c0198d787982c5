"""Query -> rows, on SQLite in processes that can be killed: the boundary of `env=sql`."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agenttrain.types import InfraError

GRACE = 0.5
"""Seconds that a worker has beyond a query's own limit before it is killed."""
START = 20.0
"""Seconds that a worker's first answer may take longer, on a busy machine."""


@dataclass(frozen=True)
class Result:
    """What a query gave."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    """Cells are None, int, float, str, or a blob as x'hex'."""
    more: bool
    """There were more rows than asked for."""


@dataclass(frozen=True)
class Failure:
    """A query that gave nothing, and why."""

    reason: str


class Sqlite:
    """Runs queries on at most `workers` databases at once; each worker is started when it is first needed.

    Args:
        workers: processes.
        seconds: a query may take.
    """

    def __init__(self, workers: int, seconds: float) -> None:
        self.seconds = seconds
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(workers):
            self._idle.put(None)

    def run(self, database: dict[str, str], sql: str, rows: int) -> Result | Failure:
        """At most `rows` rows of `sql` on `database` (`{"path": ...}` or `{"script": ...}`).

        Raises:
            InfraError: no worker could be started.
        """
        worker = self._idle.get()
        try:
            if worker is not None and not worker.alive:
                worker.kill()
                worker = None
            worker = worker or _Worker()
            answer = worker.ask(database, sql, rows, self.seconds)
            if answer is None:
                worker.kill()
                worker = None
        finally:
            self._idle.put(worker)
        if answer is None or answer.get("error") == "interrupted":
            return Failure(f"stopped: it takes more than {self.seconds:g} s or too much memory")
        if "error" in answer:
            return Failure(answer["error"])
        if not answer["columns"]:
            return Failure("the query returns nothing; write a SELECT")
        return Result(answer["columns"], [tuple(map(_cell, row)) for row in answer["rows"]], answer["more"])

    def close(self) -> None:
        """End the workers that are idle; others end with their query."""
        for _ in range(self._idle.qsize()):
            if worker := self._idle.get():
                worker.kill()
            self._idle.put(None)


class _Worker:
    """A process that reads its own standard input, and so ends with ours."""

    def __init__(self) -> None:
        program = str(Path(__file__).with_name("sql_worker.py"))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-X", "utf8", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us
                env={},
            )
        except OSError as error:
            raise InfraError(f"No process for queries: {error}.") from error
        self._fresh = True

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, database: dict[str, str], sql: str, rows: int, seconds: float) -> dict[str, Any] | None:
        """The worker's answer; None if it gave none in time or died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = json.dumps({"database": database, "run": {"query": sql, "rows": rows, "seconds": seconds}})
        patience = seconds + GRACE + (START if self._fresh else 0.0)
        timer = threading.Timer(patience, self._process.kill)  # also frees a read or write that has begun
        timer.start()
        try:
            self._process.stdin.write(request.encode("utf-8", "replace") + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = b""
        finally:
            timer.cancel()
        self._fresh = False
        return json.loads(line) if line.endswith(b"\n") else None

    def kill(self) -> None:
        """Returns when the process is gone."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was not written yet has no reader any more
                    pipe.close()


def _cell(value: Any) -> Any:
    return f"x'{value['blob']}'" if isinstance(value, dict) else value
