"""--multirun: the product of all sweeps, each job in a process of its own, one after the other."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from agenttrain import run_folder
from agenttrain.config.compose import compose
from agenttrain.config.overrides import parse, quoted
from agenttrain.errors import UserError


@dataclass(frozen=True)
class Job:
    """One point of the product."""

    overrides: list[str]
    """All of them, and an `out` of its own at the end."""
    point: list[str]
    """Those that differ between the jobs."""
    out: str


def run(command: str, overrides: list[str], config_dir: Path | None, dry_run: bool = False) -> int:
    """Check every job, then run them; returns 1 if one failed, else 0.

    Raises:
        UserError: a job's overrides are wrong, or its `out` is taken; then none has started.
    """
    if "RANK" in os.environ:
        raise UserError("--multirun starts processes of its own: torchrun each job instead")
    jobs = expand(command, overrides, config_dir)
    flags = ["--config-dir", str(config_dir)] if config_dir else []
    rows = [f"{'exit':>4} {'seconds':>8}  overrides -> out"]
    failed = False
    for number, job in enumerate(jobs):
        print(f"[{number + 1}/{len(jobs)}] agenttrain {command} {shlex.join(job.overrides)}", flush=True)
        if not dry_run:
            start = time.monotonic()
            code = _run_one([sys.executable, "-m", "agenttrain", command, *job.overrides, *flags])
            rows.append(f"{code:>4} {time.monotonic() - start:>8.1f}  {' '.join(job.point)} -> {job.out}")
            failed = failed or code != 0
    if not dry_run:
        print("\n" + "\n".join(rows))
    return int(failed)


def expand(command: str, overrides: list[str], config_dir: Path | None) -> list[Job]:
    """The product of all sweeps as checked jobs, each with the folder `<out>/<number>-<what differs>`."""
    choices: list[list[str]] = []
    for override, text in zip(parse(overrides), overrides, strict=True):
        key = text.partition("=")[0]
        values = override.sweep_string_iterator() if override.is_sweep_override() else None
        choices.append([text] if values is None else [f"{key}={value}" for value in values])
    jobs = []
    for number, texts in enumerate(product(*choices)):
        values = compose(command, list(texts), config_dir).values
        point = [text for text, options in zip(texts, choices, strict=True) if len(options) > 1]
        name = re.sub(r"[^\w.-]+", "-", f"{number}-" + "_".join(point)).rstrip("-")[:80]
        out = Path(values["out"]) / name
        run_folder.check(out, values.get("resume"))
        kept = [text for text in texts if not text.startswith("out=")]
        jobs.append(Job([*kept, f"out={quoted(str(out))}"], point, str(out)))
    return jobs


def _run_one(line: list[str]) -> int:
    """Exit code of the process; Ctrl-C, or SIGTERM to us, reaches it once and through us, in a terminal too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    child = subprocess.Popen(line, process_group=0)
    try:
        return child.wait()
    except BaseException:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
        raise
