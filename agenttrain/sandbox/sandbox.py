"""Where code of a model may run: chooses walls that hold on this machine and keeps one warm zygote behind them."""

from __future__ import annotations

import itertools
import json
import logging
import os
import socket
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from agenttrain.errors import UserError
from agenttrain.ranges import Count
from agenttrain.sandbox.launch import Walls, Warm
from agenttrain.types import InfraError

LAYERS = {
    "bubblewrap": "bubblewrap, own user, pid, mount and network namespaces, seccomp, rlimits, watch on memory",
    "landlock": "Landlock, seccomp (no new processes, no network), rlimits, watch on disk",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What one process tree in the sandbox may use in its life."""

    memory: Count = 512
    """MB, of each process and of all together."""
    cpu: Count = 120
    """Seconds of CPU time of each process."""
    processes: Count = 16
    """Processes and threads at once; under landlock, threads of the one process."""
    files: Count = 64
    """Open files of each process."""
    disk: Count = 16
    """MB in all files together, and in any one of them."""


class Sandbox:
    """A warm interpreter that forks confined processes within milliseconds; started at first use, ended with its owner.

    Args:
        walls: `bubblewrap`, `landlock`, or `auto` for the first of these that holds here.
        packages: installed packages, with those that they need, that code may import; loaded in advance. Of all
            others only Python's own modules can be read.
    """

    def __init__(
        self, walls: Walls | Literal["auto"] = "auto", limits: Limits | None = None, packages: Sequence[str] = ()
    ) -> None:
        self.limits, self.packages = limits or Limits(), tuple(packages)
        self.walls: Walls | None = None if walls == "auto" else walls
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._zygote: Warm | None = None

    def start(self, seed: int, control: socket.socket, output: int) -> int:
        """Fork a confined process that answers frames on `control` and prints to the descriptor `output`; its number.

        Raises:
            UserError: no walls hold on this machine, or not those that were asked for.
            InfraError: the sandbox itself has failed.
        """
        zygote, number = self.start_now(), next(self._numbers)
        message = json.dumps({"start": number, "seed": seed}).encode()
        try:
            with self._lock:
                socket.send_fds(zygote.socket, [message], [control.fileno(), output])
        except OSError as error:
            raise InfraError(f"the sandbox is gone: {error}") from None
        return number

    def end(self, number: int, kill: bool = True) -> int | None:
        """Kill a process and all that it started; returns when nothing of it is alive.

        Returns:
            its exit code, or minus the signal that it died of; None if it is alive and was not to be killed.

        Raises:
            InfraError: the sandbox itself has failed.
        """
        return self._ask({"end": number, "kill": kill})

    def waited(self, number: int, anew: bool = False) -> tuple[float, float, float]:
        """Seconds for which the machine had no core for a process since this was asked `anew`; those for which it would
        have had none with no other code in the sandbox (see `waiting`); up to when, by the monotonic clock.

        Raises:
            InfraError: the sandbox itself has failed.
        """
        waited, starved, looked = self._ask({"waited": number, "anew": anew})
        return waited, starved, looked

    def _ask(self, request: dict[str, Any]) -> Any:
        try:
            with self._lock:
                assert self._zygote is not None
                self._zygote.socket.send(json.dumps(request).encode())
                return json.loads(self._zygote.socket.recv(4096))["answer"]
        except (OSError, ValueError) as error:
            self.close()  # a late answer would be taken for that to another question
            raise InfraError(f"the sandbox is gone: {error or type(error).__name__}") from None

    def close(self) -> None:
        """End all that still runs. (It also ends when nobody holds it any more, and when our process does.)"""
        if self._zygote is not None:
            self._zygote.close()

    def start_now(self) -> Warm:
        """Choose the walls and start behind them, if that has not been done or what was started is gone.

        Raises:
            UserError: as `start`.
        """
        with self._lock:
            zygote = self._zygote
            # a fork of ours has no say in its parent's
            if zygote is None or zygote.owner != os.getpid() or zygote.process.poll() is not None:
                zygote = self._zygote = self._choose()
            return zygote

    def _choose(self) -> Warm:
        faults = []
        for walls in ("bubblewrap", "landlock") if self.walls is None else (self.walls,):
            try:
                zygote = Warm(walls, asdict(self.limits), self.packages)
            except UserError as error:
                faults.append(f"{walls}: {error}")
                continue
            if walls == "landlock" and self.walls is None:
                _log.warning("code runs without namespaces (%s). Layers: %s", faults[0], LAYERS[walls])
            else:
                _log.info("code runs behind: %s", LAYERS[walls])
            self.walls = walls
            return zygote
        raise UserError(
            f"Nothing here can hold code of a model: {'; '.join(faults)}.\n"
            "Install bubblewrap where user namespaces are allowed, or take a kernel with Landlock (5.13 or later)."
        )
