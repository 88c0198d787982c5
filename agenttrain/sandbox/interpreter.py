"""An episode's Python: code in, what it printed and how it ended out. Names stay from one run to the next."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import Literal

from agenttrain.sandbox.process import STRETCH, Ended, Process
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.types import InfraError

Status = Literal["ok", "error", "timeout", "killed"]
"""`error`: an exception, or an exit with another code than 0. `killed`: by a signal, of a limit or of its own."""


@dataclass(frozen=True)
class Result:
    """How one run ended."""

    status: Status
    output: str
    """What was printed to standard output and error, in order, cut in its middle where it is too long."""
    exception: str | None = None
    """Name of the exception that ended the run."""
    exit_code: int | None = None
    """Of an interpreter that ended with this run; minus the signal's number if one ended it."""


class Interpreter:
    """State that lasts until a run is out of time, is killed or exits; the next run then starts with none.

    Args:
        seed: of Python's `random`, and NumPy's if it is loaded.
        kept: most bytes of a run's output that are kept.
    """

    def __init__(self, sandbox: Sandbox, seed: int = 0, kept: int = 20_000) -> None:
        self._sandbox, self._seed, self._kept = sandbox, seed, kept
        self._process: Process | None = None
        self._lock = threading.Lock()
        self._busy = self._closed = False

    def run(self, code: str, seconds: float) -> Result:
        """
        Args:
            seconds: for the code itself: what the machine made it wait for a core does not count (see `Process`).

        Raises:
            InfraError: the sandbox has failed or the machine is too busy, which says nothing about the code.
            ValueError: the code is too long.
            UserError: nothing on this machine can hold it.
        """
        process = self._begin()
        try:
            answer = process.ask({"run": code}, seconds)
        except Ended as end:
            return _result(process, end, self._over(process, ended=True))
        except ValueError:
            self._over(process)
            raise
        except InfraError:
            with contextlib.suppress(InfraError):
                self._over(process, ended=True)
            raise
        self._over(process)
        exception = answer.get("exception")
        exception = exception if isinstance(exception, str) else None
        return Result("error" if exception else "ok", process.output(), exception)

    def close(self) -> None:
        """End it, and all it started; also while a run is on. Returns when nothing of it is alive."""
        with self._lock:
            process, self._process, self._closed = self._process, None, True
            busy = self._busy
        if process is not None:
            process.kill() if busy else process.end()

    def _begin(self) -> Process:
        with self._lock:
            if self._closed:
                raise InfraError("the interpreter is closed")
            if self._process is None:
                self._process = Process(self._sandbox, self._seed, self._kept)
            self._busy = True
            return self._process

    def _over(self, process: Process, ended: bool = False) -> int:
        """After a run: the exit code of an interpreter that has ended with it, or was closed meanwhile."""
        with self._lock:
            self._busy = False
            ended = ended or self._closed
            if ended:
                self._process = None
        return process.end() if ended else 0


def run_program(sandbox: Sandbox, code: str, seconds: float, stdin: str = "", kept: int = 20_000) -> Result:
    """A whole program in a process of its own, from its first line to its exit.

    Raises:
        InfraError, ValueError, UserError: as `Interpreter.run`.
    """
    process = Process(sandbox, kept=kept)
    process.left = seconds
    return finish_program(process, code, stdin, time.monotonic() + STRETCH * seconds)


def finish_program(process: Process, code: str, stdin: str, until: float) -> Result:
    """The same in a process that is fresh and told how much time it has `left`; ends it.

    Raises:
        Unfinished: the machine was too busy `until` then, by the monotonic clock.
        InfraError, ValueError: as `Interpreter.run`.
    """
    end = Ended(late=False)  # also of a program that answers, which none does
    try:
        process.send({"script": code, "stdin": stdin}, process.left)
        process.receive(until)
    except Ended as ended:
        end = ended
    except (ValueError, InfraError):
        with contextlib.suppress(InfraError):
            process.end()
        raise
    return _result(process, end, process.end())


def _result(process: Process, end: Ended, code: int) -> Result:
    if end.late:
        return Result("timeout", process.output(), exit_code=code)
    if code < 0:
        return Result("killed", process.output(), exit_code=code)
    return Result("error" if code else "ok", process.output(), exit_code=code)
