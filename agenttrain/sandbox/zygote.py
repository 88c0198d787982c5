"""Inside the sandbox: a warm interpreter that forks a confined process for every episode, and ends it.

    python -m agenttrain.sandbox.zygote SETTINGS <socket

It runs no code of a model. On its standard input it is told to start a process on two descriptors that come along
(frames, output), and asked how long the machine has kept one waiting, or to end it; it answers an end when nothing of
that process is alive any more. When the socket is closed, whatever the reason, it ends all and exits.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import time
from typing import Any

from agenttrain.sandbox import confine, kernel, usage, wire, worker
from agenttrain.sandbox.waiting import Waiting

WARM = """ast bisect collections copy dataclasses datetime decimal fractions functools heapq itertools json linecache
    math operator random re statistics string tempfile textwrap threading traceback typing"""
_TICK = 0.05
"""Seconds between two looks at what the processes use."""


class Zygote:
    """Starts processes and ends them, and looks now and then at what they use."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.memory = settings["memory"] << 20
        self.disk = settings["disk"] << 20
        self.socket = socket.socket(fileno=0)
        self.alive: dict[int, int] = {}
        """What was started and not ended yet: number -> pid (with namespaces, the pid of their init)."""
        self.waiting: dict[int, Waiting] = {}
        """Of those whose time is counted."""
        self.looked = 0.0
        if not settings["namespaces"]:
            fcntl.flock(os.open(settings["homes"], os.O_RDONLY), fcntl.LOCK_EX)  # while it lives, they are in use
        self.pid = os.getpid()
        with open("/proc/self/statm") as file:
            self.mapped, self.resident = (int(pages) * usage.PAGE for pages in file.read().split()[:2])

    def serve(self) -> tuple[socket.socket, int] | None:
        """Returns None at the end; in a forked process, when it is confined, its stream and seed."""
        while True:
            ready = select.select([self.socket], [], [], _TICK if self.alive else None)[0]
            if time.monotonic() - self.looked >= _TICK:
                self._look()
            if not ready:
                continue
            message, descriptors, _, _ = socket.recv_fds(self.socket, 4096, 2)
            if not message:
                for number in list(self.alive):
                    self._end(number, kill=True)
                if not self.settings["namespaces"]:
                    shutil.rmtree(self.settings["homes"], ignore_errors=True)
                return None
            request = json.loads(message)
            if "end" in request:
                self._answer(self._end(request["end"], request["kill"]))
            elif "waited" in request:
                self._answer(self._waited(request["waited"], request["anew"]))
            elif started := self._start(request["start"], request["seed"], *descriptors):
                return started

    def _answer(self, answer: int | tuple[float, float, float] | None) -> None:
        self.socket.send(json.dumps({"answer": answer}).encode())

    # -- a process's life ---------------------------------------------------------------------------------------------

    def _start(self, number: int, seed: int, control: int, output: int) -> tuple[socket.socket, int] | None:
        home = self._home(number)
        if self.settings["namespaces"]:
            pid = confine.fork_into_namespaces(control, self.settings["disk"])
        else:
            os.mkdir(home, 0o700)
            pid = os.fork()
        if pid:
            self.alive[number] = pid
            os.close(control)
            os.close(output)
            return None
        try:
            self.socket.detach()  # its number is about to be another's
            stream = confine.confine(self.settings, self.pid, home, self.mapped + self.memory, control, output)
            stream.sendall(wire.pack({"ready": True}))
        except BaseException as error:
            confine.fail(control, error)
        return stream, seed

    def _end(self, number: int, kill: bool) -> int | None:
        """The exit code of a process, or minus the signal it died of; None while it is alive and not to be killed.

        With namespaces it is their init that dies, and the kernel lets it go when nothing else is left in them.
        """
        pid = self.alive.get(number)
        if pid is None:
            return -signal.SIGKILL  # forked by the zygote before this one, and dead with it
        if kill:
            os.kill(pid, signal.SIGKILL)
        ended, code = os.waitpid(pid, 0 if kill else os.WNOHANG)
        if not ended:
            return None
        del self.alive[number]
        self.waiting.pop(number, None)
        status = os.waitstatus_to_exitcode(code)
        if not self.settings["namespaces"]:
            usage.remove(self._home(number))
        return 128 - status if status > 128 else status

    def _waited(self, number: int, anew: bool) -> tuple[float, float, float]:
        """Seconds up to the last look, and when that was; `anew` counts from the next."""
        if anew and number in self.alive:
            self.waiting[number] = Waiting()
        waiting = self.waiting.get(number)
        return (waiting.seconds, waiting.starved, self.looked) if waiting else (0.0, 0.0, self.looked)

    def _home(self, number: int) -> str:
        return kernel.HOME if self.settings["namespaces"] else f"{self.settings['homes']}/{number}"

    # -- what the kernel keeps or tells for one process, or one file, only --------------------------------------------

    def _look(self) -> None:
        """Kill what uses more memory, in sum, or more disk than it may; see who waits for a core."""
        self.looked = time.monotonic()
        namespaces = self.settings["namespaces"]
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()] if namespaces else self.alive.values()
        used = {pid: usage.statistics(pid) for pid in pids}
        children: dict[int, list[int]] = {}
        for pid, (parent, _, _, _) in used.items():
            children.setdefault(parent, []).append(pid)
        inside = sum(busy for pid, (_, _, busy, _) in used.items() if pid != self.pid)
        for number, pid in self.alive.items():
            tree = [pid]
            for member in tree:
                tree += children.get(member, []) if namespaces else []
            if number in self.waiting:
                self.waiting[number].look(tree, inside)
            members = [used[member] for member in tree if member in used]
            memory = sum(max(0, resident - self.resident) for _, _, _, resident in members)  # without what all share
            threads = sum(threads for _, threads, _, _ in members)
            over = memory > self.memory or threads > self.settings["processes"] + 2
            if over or (not namespaces and usage.disk(self._home(number)) > self.disk):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def main() -> None:
    """
    Raises:
        Whatever a program under `script` raises: this is the bottom of its stack, too.
    """
    settings = json.loads(sys.argv.pop())
    sys.path[:] = [path for path in sys.path if path not in settings["hidden"]] + settings["packages"]
    for name in ("PYTHONPATH", "PWD"):
        os.environ.pop(name, None)
    for name in WARM.split() + settings["preload"]:
        importlib.import_module(name)
    if "numpy" in sys.modules:
        importlib.import_module("numpy.random")  # it comes at first use, and every episode seeds it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if settings["namespaces"]:
        kernel.die_with_parent(os.getppid())  # bubblewrap; ours is a thread of training, which may end before it
    kernel.adopt_orphans()
    gc.collect()
    gc.freeze()  # or collections in each child would copy pages that all share
    started = Zygote(settings).serve()
    if started is not None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # each line as it is printed, in order with errors and with what other processes print
        sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        worker.serve(*started)


if __name__ == "__main__":
    main()
