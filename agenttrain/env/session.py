"""Environment's side of an interpreter: code in; what the agent is shown of the run, and the facts of it, out."""

from __future__ import annotations

import hashlib
from typing import Any

from agenttrain.sandbox.interpreter import Interpreter, Result
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.terminal import plain


class Session:
    """The Python of one episode: names stay from run to run, until a run ends the interpreter.

    Args:
        seed: of Python's `random` in it.
        seconds: for one run; one that takes longer ends the interpreter.
        max_chars: most characters shown of a run's output; what is longer is cut in its middle.
        setup: code that every fresh interpreter runs first.
    """

    def __init__(self, sandbox: Sandbox, seed: int, seconds: float, max_chars: int, setup: str = "") -> None:
        self.seconds, self.max_chars, self.setup = seconds, max_chars, setup
        self._fork = lambda: Interpreter(sandbox, seed, kept=4 * max_chars)
        self._interpreter = self._fork()
        self._runs: list[str] = []
        self._fresh = True

    @property
    def state(self) -> str:
        """Equal for equal runs since the interpreter began."""
        return hashlib.sha256(repr(self._runs).encode()).hexdigest()[:16]

    def run(self, code: str) -> tuple[str, dict[str, Any]]:
        """What is shown, and the facts: `status` (`ok`, `error`, `timeout`, `killed`) and, if the run was not ok,
        `tool_error` (the exception's name, or the status). The interpreter tells this of itself.

        Raises:
            InfraError: the sandbox has failed.
            RuntimeError: `setup` does not run.
        """
        if self._fresh and self.setup:
            begun = self._interpreter.run(self.setup, self.seconds)
            if begun.status != "ok":
                raise RuntimeError(f"the setup of the interpreter ends as {begun.status}: {begun.output[-500:]}")
        self._fresh = False
        try:
            result = self._interpreter.run(code, self.seconds)
        except ValueError:
            return "The code is too long.", {"status": "error", "tool_error": "too long"}
        self._runs.append(code)
        facts: dict[str, Any] = {"status": result.status}
        if result.status != "ok":
            facts["tool_error"] = result.exception or result.status
        if result.exit_code is not None:
            self._runs.clear()
            self._fresh = True
        return plain(result.output, self.max_chars) + self._ending(result) or "(no output)", facts

    def restart(self) -> None:
        """End all that runs; the next run begins with no names."""
        self._interpreter.close()
        self._interpreter = self._fork()
        self._runs.clear()
        self._fresh = True

    def close(self) -> None:
        """End the interpreter and all that it started."""
        self._interpreter.close()

    def _ending(self, result: Result) -> str:
        if result.status == "timeout":
            return f"\n[stopped after {self.seconds:g} s; all names are lost]"
        if result.status == "killed":
            return "\n[killed, maybe for its use of memory or disk; all names are lost]"
        return "" if result.exit_code is None else f"\n[exited with {result.exit_code}; all names are lost]"
