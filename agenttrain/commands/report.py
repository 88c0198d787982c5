"""`agenttrain report`: a run's folder, or two of them -> one HTML file that opens without a server or a connection."""

from __future__ import annotations

import json
import os
from pathlib import Path

from agenttrain.errors import UserError
from agenttrain.report import page
from agenttrain.report import run as runs
from agenttrain.report.run import Run

MOST = 2000
"""Episodes of a run that a page holds unless told otherwise."""
CHEAP = 100_000_000
"""Bytes of trajectories that are read and packed in a few seconds."""


def report(
    places: list[str],
    out: Path | None = None,
    most: int = MOST,
    tokenizer: Path | None = None,
    as_json: bool = False,
) -> None:
    """Write the file and say where it is.

    Args:
        places: one folder of a run or two, or files of trajectories, each with a label if wanted: `label=path`.
        out: the file; None for `report.html` in the run's folder, `comparison.html` in the folder of the second of two.
        most: episodes of each run to put in; of more, whole groups evenly over the run.
        tokenizer: a folder with the `tokenizer.json` of those tokens; None for the run's own model.
        as_json: print one JSON object.

    Raises:
        UserError: more than two runs, nothing there that a run leaves, or the file cannot be written.
    """
    read = open_runs(places, most, tokenizer)
    file = out or read[-1].folder / ("report.html" if len(read) == 1 else "comparison.html")
    write(read, file)
    size = file.stat().st_size
    if as_json:
        runs_told = [{"label": run.label, "episodes": len(run.kept), "played": run.kept.seen} for run in read]
        print(json.dumps({"file": str(file), "bytes": size, "runs": runs_told}))
        return
    print(f"report: {file} ({size / 1e6:.1f} MB; {', '.join(f'{_told(run)} of {run.label}' for run in read)})")
    for run in read:
        if not run.words.known and run.has_tokens():
            print(f"No tokenizer.json was found for {run.label}: tokens stand as numbers. Name it with --tokenizer.")


def leave(out: Path) -> None:
    """What a command does at its end: write `<out>/report.html` where that is cheap, and say where it is, or how to."""
    played = sum(file.stat().st_size for file in out.glob("trajectories*.jsonl"))
    if played > CHEAP:
        print(f"page     agenttrain report {out}")
        return
    write([runs.read(out, out.name, MOST)], out / "report.html")
    print(f"page     {out / 'report.html'}")


def open_runs(places: list[str], most: int, tokenizer: Path | None = None) -> list[Run]:
    """The runs, each with a label of its own.

    Raises:
        UserError: more than two, one label for both, or nothing there that a run leaves.
    """
    if len(places) > 2:
        raise UserError(f"A report shows one run, or two side by side; these are {len(places)}.")
    labelled = [_label(place) for place in places]
    names = [name or path.resolve().name for name, path in labelled]
    if len(set(names)) < len(names):
        names = [name or str(path) for name, path in labelled]
    if len(set(names)) < len(names):
        raise UserError("Both runs have the same label. Give each its own: label=path.")
    return [runs.read(path, name, most, tokenizer) for name, (_, path) in zip(names, labelled, strict=True)]


def write(read: list[Run], file: Path) -> None:
    """Put the page in place whole: whoever has an older one open goes on reading that.

    Raises:
        UserError: the file cannot be written there.
    """
    aside = file.with_name(f"{file.name}.new")
    try:
        aside.write_text(page.html(page.content(read)), encoding="utf-8", errors="replace")
        os.replace(aside, file)
    except (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError) as error:
        raise UserError(
            f"The report cannot be written to {file}: {error.strerror}. Choose another place with --out."
        ) from None


def _label(place: str) -> tuple[str, Path]:
    """Of `label=path` both; of a path without a label, or one that exists as it stands, an empty label."""
    label, separator, path = place.partition("=")
    return (label, Path(path)) if separator and not Path(place).exists() else ("", Path(place))


def _told(run: Run) -> str:
    kept, seen = len(run.kept), run.kept.seen
    return f"{kept:,} episodes" if kept == seen else f"{kept:,} of {seen:,} episodes"
