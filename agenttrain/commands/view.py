"""`agenttrain view`: a run that goes on, or one that has ended -> its report on a terminal, and in a browser."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from agenttrain.commands.report import open_runs
from agenttrain.report import page, screen
from agenttrain.report.live import Live, Server
from agenttrain.report.run import Run

SECONDS = 2.0
"""Between two looks at the run's files."""


def view(
    places: list[str],
    port: int = 8321,
    once: bool = False,
    episode: int | None = None,
    most: int = 2000,
    tokenizer: Path | None = None,
    as_json: bool = False,
) -> None:
    """Show one run or two here, and on a page of this machine, and keep both up to date until Ctrl-C.

    Args:
        places: as in `agenttrain report`.
        port: of 127.0.0.1; 0 for any that is free.
        once: show it here, and stop.
        episode: a number in the list of episodes: show that one, of the last run, and stop.
        most: episodes of each run; of more, whole groups evenly over the run.
        tokenizer: a folder with the `tokenizer.json` of the run's tokens; None for its own model's.
        as_json: print settings, findings, figures by step and entries of episodes (with `episode`, all of that one) as
            one JSON object, and stop.

    Raises:
        UserError: nothing there that a run leaves, no such episode, or the port is taken.
    """
    if once or as_json or episode is not None:
        runs = open_runs(places, most, tokenizer)
        if as_json:
            print(json.dumps(_values(runs) if episode is None else screen.values(runs[-1], episode)))
        else:
            print(screen.overview(runs) if episode is None else screen.episode(runs[-1], episode))
        return
    live = Live(lambda: open_runs(places, most, tokenizer))
    with Server(live, port) as server:
        told = f"{server.address}   Ctrl-C ends it"
        try:
            _keep_up(live, told) if sys.stdout.isatty() else _keep_still(live, told)
        except KeyboardInterrupt:
            print()


def _values(runs: list[Run]) -> dict[str, Any]:
    told = [page.about(run) | {"rows": run.rows, "episodes": list(screen.entries(run))} for run in runs]
    return {"runs": told}


def _keep_up(live: Live, told: str) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    while True:
        console.clear()
        console.print(f"{screen.overview(live.runs)}\n\n{told}", soft_wrap=True)
        while not live.refresh():
            time.sleep(SECONDS)


def _keep_still(live: Live, told: str) -> None:
    """Where there is no terminal, the first state and the address."""
    print(f"{screen.overview(live.runs)}\n\n{told}", flush=True)
    while True:
        time.sleep(SECONDS)
