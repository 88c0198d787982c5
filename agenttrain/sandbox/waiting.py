"""Inside the sandbox, in the zygote: how long the machine, and not the code itself, has kept code from running.

The kernel tells of each thread how long it ran and how long it waited for a core (/proc/PID/task/TID/schedstat). Code
can wait for a core by its own doing: with more threads than cores, or with naps so short that each ends in a queue, or
at a low priority. So of a wait only that counts as the machine's in which no other thread of the code ran; and only
that is an excuse which a thread that always wants to run would have had, among those that are no code in the sandbox.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence

_CORES = os.cpu_count() or 1


class Waiting:
    """Of one process tree, from the first look at it on. All is 0 where the kernel does not tell."""

    def __init__(self) -> None:
        self.seconds = self._excuse = 0.0
        self._began = self._before = self._ran = 0.0
        self._first: dict[str, tuple[float, float]] = {}

    @property
    def starved(self) -> float:
        """Of the `seconds` those that would have been waited with no other code in the sandbox."""
        return min(self.seconds, self._excuse)

    def look(self, tree: Sequence[int], inside: int) -> None:
        """Count what was since the last look; nothing if a thread came or went, for nobody tells what that one took.

        Args:
            tree: its pids.
            inside: threads of all code in the sandbox that run or wait for a core.
        """
        now, times = time.monotonic(), _times(tree)
        if times.keys() != self._first.keys():
            self._began, self._first, self._before, self._ran = now, times, self.seconds, 0.0
            return
        ran = {thread: times[thread][0] - first for thread, (first, _) in self._first.items()}
        # a wait is told of when it is over, and may have begun earlier than this count
        waited = {
            thread: min(times[thread][1] - first, now - self._began - ran[thread])
            for thread, (_, first) in self._first.items()
        }
        total = sum(ran.values())
        alone = max((waited[thread] - (total - ran[thread]) for thread in ran), default=0.0)  # none other of its ran
        self.seconds = self._before + max(0.0, alone)
        outside = max(0, _runnable() - inside - 1)  # this process is the one more
        self._excuse += (total - self._ran) * outside / _CORES
        self._ran = total


def _times(tree: Sequence[int]) -> dict[str, tuple[float, float]]:
    """Thread -> seconds on a core, seconds in the queue for one."""
    times = {}
    for pid in tree:
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                    ran, waited, _ = file.read().split()
                times[thread] = int(ran) / 1e9, int(waited) / 1e9
    return times


def _runnable() -> int:
    """Threads of the whole machine that run or wait for a core (proc_loadavg(5))."""
    with open("/proc/loadavg") as file:
        return int(file.read().split()[3].partition("/")[0])
