"""What experiments are made of: commands that a user would type, and seeds side by side."""

from __future__ import annotations

import argparse
import atexit
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

PROCESSES = get_context("forkserver")
"""Each command is a process of its own, forked from one that has imported what takes seconds to import."""
PROCESSES.set_forkserver_preload(["agenttrain.trainer.seam", "agenttrain.trainer.sft", "agenttrain.policy.engine"])
CPU = " CPU s"
"""What ends a log, after the seconds."""

Found = TypeVar("Found")
Given = TypeVar("Given")


def options(told: str, out: str, seeds: Sequence[int]) -> argparse.ArgumentParser:
    """Those that every experiment has; its docstring tells the rest."""
    parser = argparse.ArgumentParser(description=told, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(out), help="what is complete there is not made again")
    parser.add_argument("--seeds", type=int, nargs="+", default=[*seeds], help="2 or more have an interval")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time, of one thread each")
    return parser


def each(run: Callable[[Given], Found], given: Iterable[Given], jobs: int) -> list[Found]:
    """What is found with each, in order, `jobs` of them at a time; the first failure ends it."""
    os.environ["OMP_NUM_THREADS"] = "1"
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(run, one) for one in given]
        try:
            return [job.result() for job in waiting]
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def command(out: Path, *words: str) -> None:
    """`agenttrain WORDS` into `out`, unless it is complete; what is incomplete, or was made by another command, is made
    anew. All that it says goes to a log beside `out`.

    Raises:
        SystemExit: it failed.
    """
    shown, log = shlex.join(["agenttrain", *words, f"out={out}"]), out.parent / f"{out.name}.log"
    if (out / "report.md").is_file() and log.is_file() and log.read_text().startswith(shown + "\n"):
        return
    shutil.rmtree(out, ignore_errors=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(shown + "\n")
    began = time.monotonic()
    code = in_a_process([*words, f"out={out}"], log)
    print(f"{time.monotonic() - began:4.0f} s  {out}", flush=True)
    if code:
        raise SystemExit(f"{shown}\nended with status {code}: see {log}")


def cpu_minutes(out: Path) -> float:
    """Of all commands into folders below `out`, without the processes that these started."""
    ends = (log.read_text().splitlines()[-1] for log in out.rglob("*.log"))
    return sum(float(end.removesuffix(CPU)) for end in ends if end.endswith(CPU)) / 60


def in_a_process(words: list[str], log: Path) -> int:
    """The exit status of `agenttrain WORDS`."""
    process = PROCESSES.Process(target=act, args=(words, log))
    process.start()
    process.join()
    return process.exitcode or 0


def act(words: list[str], log: Path) -> None:
    """`agenttrain WORDS`; all that it says goes to the log, and its CPU seconds last. Ends the process."""
    from agenttrain import cli

    with log.open("a") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    atexit.register(lambda: print(f"{time.process_time():.1f}{CPU}", flush=True))
    sys.argv = ["agenttrain", *words]
    cli.main()
