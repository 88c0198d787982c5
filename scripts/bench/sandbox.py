"""What the sandbox costs: executions against a cold interpreter, steps of env=code, memory of an idle episode.

    python scripts/bench/sandbox.py                     # both sets of walls, three repetitions
    python scripts/bench/sandbox.py --walls landlock --repetitions 1

Prints Markdown: the median of the repetitions, the lowest and highest in brackets. All compared rates are of one run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil
from report import spread, table

from agenttrain.env.code import Code
from agenttrain.policy.code_expert import CodeExpert
from agenttrain.policy.scripted import Scripted, call
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.sandbox.interpreter import Interpreter, run_program
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.task.code import Code as CodeTasks
from agenttrain.types import Conversation, Message

SNIPPET = "x = sum(i * i for i in range(100))\nprint(x)"
CORES = 2
PYTHON = os.path.realpath(sys.executable)
"""Without what a virtual environment adds to its start; `-S` leaves out what else is installed beside it."""


class Runs(Scripted):
    """Short runs only; the episode's budget ends it."""

    def act(self, conversation: Conversation) -> Message:
        return call(conversation, "python", code=SNIPPET)


def per_second(work: Callable[[], object], seconds: float = 2.0) -> float:
    """How often `CORES` threads get `work` done."""
    end = time.monotonic() + seconds

    def repeat(_: int) -> int:
        count = 0
        while time.monotonic() < end:
            work()
            count += 1
        return count

    began = time.monotonic()
    with ThreadPoolExecutor(CORES) as pool:
        done = sum(pool.map(repeat, range(CORES)))
    return done / (time.monotonic() - began)


def cold(*options: str) -> None:
    subprocess.run([PYTHON, "-I", *options, "-c", SNIPPET], stdout=subprocess.DEVNULL, check=True)


def executions(walls: str) -> list[float]:
    """Per second: cold interpreters, bare ones, runs in open interpreters, programs in processes of their own."""
    sandbox = Sandbox(walls)  # type: ignore[arg-type]
    free = [Interpreter(sandbox) for _ in range(CORES)]

    def run() -> None:
        interpreter = free.pop()
        interpreter.run(SNIPPET, 5)
        free.append(interpreter)

    run()
    rates = [per_second(cold), per_second(lambda: cold("-S")), per_second(run)]
    rates.append(per_second(lambda: run_program(sandbox, SNIPPET, 5)))
    for interpreter in free:
        interpreter.close()
    sandbox.close()
    return rates


def steps(env: Code, concurrency: int, turns: int = 20) -> float:
    """Short runs per second, each a step of one of `concurrency` episodes, their starts and ends included."""
    limits = Limits(concurrency=concurrency, max_turns=turns)
    owed = attempts(CodeTasks(n=64 if concurrency > 1 else 8))
    began = time.monotonic()
    done = sum(len(episode.turns) for episode in rollout(owed, env, Runs(), limits))
    return done / (time.monotonic() - began)


def episodes(env: Code, concurrency: int) -> float:
    """Whole episodes per second: one run, and a submission that six tests verify in as many processes."""
    owed = attempts(CodeTasks(n=64 if concurrency > 1 else 8))
    began = time.monotonic()
    done = [episode.success for episode in rollout(owed, env, CodeExpert(), Limits(concurrency=concurrency))]
    assert all(done)
    return len(done) / (time.monotonic() - began)


def memory(walls: str, count: int = 64) -> float:
    """MB that an idle episode adds, as its share of what processes have in common counts (PSS), in our process too."""
    sandbox = Sandbox(walls)  # type: ignore[arg-type]
    interpreters = [Interpreter(sandbox) for _ in range(count)]
    interpreters[0].run("1", 20)
    before = proportional_set()
    for interpreter in interpreters[1:]:
        interpreter.run(SNIPPET, 20)
    added = (proportional_set() - before) / (count - 1) / 1e6
    for interpreter in interpreters:
        interpreter.close()
    sandbox.close()
    return added


def proportional_set() -> float:
    """Bytes of this process and all below it."""
    this = psutil.Process()
    return sum(process.memory_full_info().pss for process in (this, *this.children(recursive=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description="What the sandbox costs.")
    parser.add_argument("--walls", nargs="+", default=["bubblewrap", "landlock"])
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    rows = {}
    for walls in options.walls:
        taken = [executions(walls) for _ in range(options.repetitions)]
        rows[f"{walls}: cold `python -I -c`, executions/s"] = [rates[0] for rates in taken]
        rows[f"{walls}: cold `python -I -S -c`, executions/s"] = [rates[1] for rates in taken]
        rows[f"{walls}: runs in open interpreters, executions/s"] = [rates[2] for rates in taken]
        rows[f"{walls}: times as many as with `-I -S`"] = [rates[2] / rates[1] for rates in taken]
        rows[f"{walls}: programs, a process each, executions/s"] = [rates[3] for rates in taken]
        env = Code(walls=walls)
        for concurrency in (1, 16, 64):
            rows[f"{walls}: steps/s, {concurrency} at once"] = [
                steps(env, concurrency) for _ in range(options.repetitions)
            ]
        rows[f"{walls}: verified episodes/s, 16 at once"] = [episodes(env, 16) for _ in range(options.repetitions)]
        env.sandbox.close()
        rows[f"{walls}: MB of an idle episode"] = [memory(walls) for _ in range(options.repetitions)]
    print(table(["", "median (lowest to highest)"], [(name, spread(values)) for name, values in rows.items()]))
    print(f"\n{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end, {CORES} threads ask.")


if __name__ == "__main__":
    main()
