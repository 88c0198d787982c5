"""What environments cost: steps per second with 1, 16 and 64 episodes at once, memory of an idle one, and what is left.

    python scripts/bench/environments.py craft sql api code             # a few seconds for each
    python scripts/bench/environments.py api --set env.faults=0.1 --repetitions 5
    python scripts/bench/environments.py code --leaks                   # 1,000 episodes, 64 at once: what stays behind

An environment is played by its scripted expert on its training tasks, through `rollout()`: a step is one turn, with the
share of its episode's start and end that falls on it. Prints Markdown: the median of the repetitions, the lowest and
highest in brackets.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import cycle, islice
from typing import Any

import psutil
from report import spread, table

from agenttrain.config.compose import compose
from agenttrain.rollout import Attempt, Limits, rollout
from agenttrain.types import Conversation, Environment, Policy, Task

AT_ONCE = (1, 16, 64)
IDLE = 64
"""Episodes that are held open to see what one of them takes."""


class Played:
    """An environment with its tasks and its expert."""

    def __init__(self, name: str, overrides: list[str]) -> None:
        made = compose("env-check", [f"env={name}", *overrides]).call().keywords
        self.env: Environment = made["env"]
        self.policy: Policy = made["policy"]
        self.tasks: list[Task] = list(islice(made["task"], 256))

    def steps(self, at_once: int, seconds: float) -> float:
        """Per second."""
        began = time.monotonic()

        def owed() -> Iterator[Attempt]:
            for number, task in enumerate(cycle(self.tasks)):
                if time.monotonic() - began > seconds:
                    return
                yield Attempt(task, number, number)

        played = rollout(owed(), self.env, self.policy, Limits(concurrency=at_once))
        return sum(len(episode.turns) for episode in played) / (time.monotonic() - began)

    def idle(self) -> float:
        """MB that an episode adds between its first step and its second."""
        before, episodes = 0, []
        for number, task in enumerate(islice(cycle(self.tasks), IDLE + 1)):
            episode = self.env.episode(task, number)
            conversation = Conversation(task.id, episode.start(), episode.tools, seed=number)
            self.policy.submit(conversation)
            [(_, action)] = self.policy.poll(0)
            if isinstance(action, Exception):
                raise action
            episode.step(action.message)
            episodes.append(episode)
            before = before or memory()  # with what all episodes share
        added = (memory() - before) / IDLE
        for episode in episodes:
            episode.close()
        return added

    def leaks(self) -> list[tuple[str, float]]:
        """What 1,000 episodes leave, after 200 that fill what is filled once."""
        self._episodes(200)
        before = held()
        self._episodes(1000)
        time.sleep(2)
        return [(what, now - before[what]) for what, now in held().items()]

    def _episodes(self, count: int) -> None:
        owed = (Attempt(task, number, number) for number, task in enumerate(islice(cycle(self.tasks), count)))
        for episode in rollout(owed, self.env, self.policy, Limits(concurrency=64)):
            assert episode.success, (episode.task.id, episode.stop, episode.error)


def held() -> dict[str, float]:
    """By this process and all below it."""
    return {
        "processes": len(family()),
        "threads": threading.active_count(),
        "open files": total(psutil.Process.num_fds),
        "memory, MB": memory(),
    }


def memory() -> float:
    """MB of this process and all below it; what processes share counts by its share (PSS)."""
    return total(lambda process: process.memory_full_info().pss) / 1e6


def total(figure: Callable[[psutil.Process], float]) -> float:
    """Over this process and all below it that do not end meanwhile."""
    found = 0.0
    for process in family():
        with suppress(psutil.NoSuchProcess):
            found += figure(process)
    return found


def family() -> list[psutil.Process]:
    this = psutil.Process()
    return [this, *this.children(recursive=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="options of env=, each with an expert of its own")
    parser.add_argument("--set", nargs="*", default=[], help="settings of env, task or policy")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement of steps")
    parser.add_argument("--leaks", action="store_true", help="1,000 episodes, 64 at once, and what they leave")
    parser.add_argument("--quick", action="store_true", help="one repetition of a tenth of the time")
    words = parser.parse_args()
    if words.quick:
        words.repetitions, words.seconds = 1, words.seconds / 10
    header: list[str] = ["env", *(f"steps/s, {n} at once" for n in AT_ONCE), "MB of an idle episode"]
    rows: list[list[Any]] = []
    for name in words.names:
        played = Played(name, words.set)
        if words.leaks:
            left = played.leaks()
            header = ["env", *(what for what, _ in left)]
            rows.append([name, *(f"{more:+.1f}" for _, more in left)])
            continue
        idle = played.idle()  # first, while nothing that was freed is there to be used again
        rates = [[played.steps(n, words.seconds) for n in AT_ONCE] for _ in range(words.repetitions)]
        rows.append([name, *(spread(values, 0) for values in zip(*rates, strict=True)), f"{idle:.3f}"])
    print(table(header, rows))
    print(f"\n{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end, {words.repetitions} repetitions.")


if __name__ == "__main__":
    main()
