"""Every long step -> a display that a person can watch, and a metrics.jsonl that a program can read."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS_BETWEEN_LINES = 5.0
"""Where there is no terminal, at most one line in this time."""


class Bar:
    """How far a step is; the display follows its `advance`."""

    def __init__(self, label: str, total: int | None, unit: str, display: _Silent) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self.figures: dict[str, Any] = {}
        self._display, self._began = display, time.monotonic()

    def advance(self, n: int = 1, **figures: float) -> None:
        """`n` more are done; `figures` replace those of the same name and stay until replaced."""
        self.done += n
        self.figures |= figures
        self._display.update(self)

    @property
    def seconds(self) -> float:
        """Since the step began."""
        return time.monotonic() - self._began

    def count(self) -> str:
        """`12/100 episodes`"""
        return f"{self.done}{'' if self.total is None else f'/{self.total}'} {self.unit}"

    def rate(self) -> str:
        """`3.4/s`, or `20.0 s each` where one takes longer than a second."""
        if not self.done:
            return ""
        each = self.seconds / self.done
        return f"{each:.1f} s each" if each > 1 else f"{1 / max(each, 1e-9):.1f}/s"

    def left(self) -> str:
        """`26 s left`, judged by the mean rate so far."""
        if not self.done or self.total is None:
            return ""
        return f"{duration(self.seconds / self.done * max(0, self.total - self.done))} left"

    def running(self) -> str:
        """`success 0.41, turns 12.3`"""
        return ", ".join(
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in self.figures.items()
        )


@contextmanager
def progress(label: str, total: int | None, unit: str = "episodes") -> Iterator[Bar]:
    """Show a step while the `with` block runs: one live bar on a terminal, plain lines (on stderr) where there is none.

    A step within a step joins the display that is there and leaves it when it ends. Only rank 0 shows anything.
    """
    global _display
    outer = _display
    display = outer or _choose()
    bar = Bar(label, total, unit, display)
    _display = display
    completed = False
    try:
        display.open(bar)
        yield bar
        completed = True
    finally:
        _display = outer
        display.close(bar, completed)


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s` or `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole // 60 % 60:02d} min"


class _Silent:
    """Shows nothing: what every rank but the first has."""

    def open(self, bar: Bar) -> None: ...

    def update(self, bar: Bar) -> None: ...

    def close(self, bar: Bar, completed: bool) -> None: ...


class _Lines(_Silent):
    """Plain lines: the outermost step's first and last, and between them one every few seconds, whoever advances."""

    def __init__(self) -> None:
        self._outermost: Bar | None = None
        self._printed = -math.inf

    def open(self, bar: Bar) -> None:
        if self._outermost is None:
            self._outermost = bar
            self._print(bar.label, bar.count())

    def update(self, bar: Bar) -> None:
        if time.monotonic() - self._printed >= SECONDS_BETWEEN_LINES:
            self._print(bar.label, bar.count(), bar.rate(), bar.left(), bar.running())

    def close(self, bar: Bar, completed: bool) -> None:
        if bar is self._outermost:
            ended = "in" if completed else "stopped after"
            self._print(bar.label, f"{bar.count()} {ended} {duration(bar.seconds)}", bar.rate(), bar.running())

    def _print(self, label: str, *parts: str) -> None:
        print(f"{label}: {', '.join(part for part in parts if part)}", file=sys.stderr, flush=True)
        self._printed = time.monotonic()


class _Terminal(_Silent):
    """Bars of rich in one live display, which lives as long as the outermost step."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        fields = [TextColumn(f"{{task.fields[{name}]}}") for name in ("count", "rate", "running")]
        self._rich = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            *fields[:2],
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            fields[2],
            console=Console(stderr=True),
            # Where stdout is a pipe, what is printed belongs there and not above the bar.
            redirect_stdout=sys.stdout.isatty(),
        )
        self._ids: dict[Bar, Any] = {}

    def open(self, bar: Bar) -> None:
        if not self._ids:
            self._rich.start()
        self._ids[bar] = self._rich.add_task(bar.label, total=bar.total, **self._fields(bar))  # type: ignore[arg-type]

    def update(self, bar: Bar) -> None:
        self._rich.update(self._ids[bar], completed=bar.done, **self._fields(bar))  # type: ignore[arg-type]

    def close(self, bar: Bar, completed: bool) -> None:
        task = self._ids.pop(bar, None)
        if self._ids and task is not None:
            self._rich.remove_task(task)
        else:
            self._rich.stop()

    def _fields(self, bar: Bar) -> dict[str, str]:
        return {"count": bar.count(), "rate": bar.rate(), "running": bar.running()}


_display: _Silent | None = None
"""The display of the outermost step that runs now."""


def _choose() -> _Silent:
    if not _first_rank():
        return _Silent()
    live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return _Terminal() if live else _Lines()


def _first_rank() -> bool:
    return os.environ.get("RANK", "0") == "0"


class MetricsFile:
    """JSON Lines of figures, `{"time": ..., "step": ..., name: number or null}`, appended by rank 0 alone.

    The file survives a resume: the first `write` of a process, at step s, removes what an earlier process had written
    of later steps, and of s under the same names, since this process writes it again.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._begun = False

    def write(self, step: int, **figures: Any) -> None:
        """Append one row. Figures are numbers (also of numpy or torch); what is not finite becomes null."""
        if not _first_rank():
            return
        row = {"time": round(time.time(), 3), "step": step} | {k: _finite(v) for k, v in figures.items()}
        if not self._begun:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._rewind(step, figures)
            self._begun = True
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _rewind(self, step: int, figures: dict[str, Any]) -> None:
        if not self._path.exists():
            return
        text = self._path.read_text(encoding="utf-8")
        kept = "".join(line + "\n" for line in text.splitlines() if _stays(line, step, figures))
        if kept != text:
            aside = self._path.with_name(f"{self._path.name}.new")
            aside.write_text(kept, encoding="utf-8")
            aside.replace(self._path)


def _stays(line: str, step: int, figures: dict[str, Any]) -> bool:
    try:
        row = json.loads(line)
    except ValueError:
        return False  # the torn last line of a run that was killed
    # Another kind of row at this very step (a summary beside the last loss) is not written again.
    return row["step"] < step or (row["step"] == step and not row.keys() & figures.keys())


def _finite(value: Any) -> float | int | None:
    number = value.item() if hasattr(value, "item") else value
    return number if number is not None and math.isfinite(number) else None
