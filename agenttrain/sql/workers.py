"""Query -> rows, in processes that can be killed: one JSON request a line in, one JSON answer a line out.

Some functions of a database run for half a minute, or fill the memory, where nothing inside can stop them. So the
boundary is a process: its program limits itself as well as it can, and who asked kills it when it is late.
"""

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

START = 20.0
"""Seconds that a worker's first answer may take longer, on a busy machine."""
LONGEST = 256 << 20
"""Most bytes of an answer."""


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


class Workers:
    """Runs queries in at most `workers` processes at once; each is started when it is first needed.

    Args:
        program: the file in this folder that a process runs; it answers `{columns, rows, more}`, or one of `{error}`
            (the query's own), `{stopped}` (it took too long), `{lost}` (the surroundings failed; why).
        workers: processes.
        seconds: a query may take.
        grace: seconds that a process has beyond that before it is killed.
        flags: of the interpreter.
    """

    def __init__(self, program: str, workers: int, seconds: float, grace: float, flags: tuple[str, ...] = ()) -> None:
        self.seconds, self.grace = seconds, grace
        self._command = [sys.executable, "-I", *flags, "-X", "utf8", str(Path(__file__).with_name(program))]
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(workers):
            self._idle.put(None)

    def run(self, database: dict[str, str], query: str, rows: int) -> Result | Failure | None:
        """At most `rows` rows of `query` on `database`, which the program knows how to find.

        None: the process had to be killed, or died. What it asked of others may still run.

        Raises:
            InfraError: no process could be started, or what it stands on is gone.
        """
        worker = self._idle.get()
        try:
            if worker is not None and not worker.alive:
                worker.kill()
                worker = None
            worker = worker or _Worker(self._command)
            asked = {"query": query, "rows": rows, "seconds": self.seconds}
            answer = worker.ask({"database": database, "run": asked}, self.seconds + self.grace)
            if answer is None:
                worker.kill()
                worker = None
        finally:
            self._idle.put(worker)
        return answer if answer is None else self._read(answer)

    @property
    def stopped(self) -> Failure:
        """What becomes of a query that takes too long."""
        return Failure(f"stopped: it takes more than {self.seconds:g} s or too much memory")

    def close(self) -> None:
        """End the processes that are idle; others end with their query."""
        for _ in range(self._idle.qsize()):
            if worker := self._idle.get():
                worker.kill()
            self._idle.put(None)

    def _read(self, answer: dict[str, Any]) -> Result | Failure:
        if "lost" in answer:
            raise InfraError(answer["lost"])
        if "stopped" in answer:
            return self.stopped
        if "error" in answer:
            return Failure(answer["error"])
        if not answer["columns"]:
            return Failure("the query returns nothing; write a SELECT")
        return Result(answer["columns"], [tuple(row) for row in answer["rows"]], answer["more"])


class _Worker:
    """A process that reads its own standard input, and so ends with ours."""

    def __init__(self, command: list[str]) -> None:
        try:
            self._process = subprocess.Popen(
                command,
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

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        """The worker's answer; None if it gave none in time or died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        patience = seconds + (START if self._fresh else 0.0)
        timer = threading.Timer(patience, self._process.kill)  # also frees a read or write that has begun
        timer.start()
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline(LONGEST)
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
