"""Findings -> `credit_check.json` for programs, `credit_check.md` and tables for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from agenttrain.bench.verdict import CONFIDENCE, PRECISE_ANGLE, PRECISE_SCALE, WRONG, Finding

SCHEMA = "agenttrain.credit_check/1"

Exact = Mapping[str, Sequence[float]]
"""Process -> its exact gradient."""

COLUMNS = ("credit", "group size", "scale", "angle", "noise", "verdict")
MEANING = f"""\
- **scale**: how much of the exact gradient the mean estimate holds. 1 is its length; another positive number acts as
  another learning rate.
- **angle**: between the mean estimate and the exact gradient, in degrees. 0 points the right way, at 90 nothing is left
  of the gradient. What noise alone would give is taken off.
- **noise**: episodes that a step needs before the noise of its gradient is no longer than what it holds of the exact
  gradient. Fewer is better, and the scale plays no part in it.
- **verdict**: *unbiased*; *unbiased up to scale*, right but for the learning rate (*right sign*, where a single
  parameter leaves no direction to judge); *biased: direction*, the mean points elsewhere; *biased: no gradient* or
  *opposite*; *open*, more episodes are needed to say.

In brackets: {CONFIDENCE:.0%} intervals. A verdict is given by tests that call an unbiased strategy biased in at most
{WRONG:.0%} of whole runs, however many verdicts a run has. *Unbiased up to scale* also wants an angle that is surely
below {PRECISE_ANGLE:g} degrees, *unbiased* besides a scale that is known to {PRECISE_SCALE:g}.
"""


@dataclass(frozen=True)
class Row:
    """What was found for one strategy, on one process, with groups of one size."""

    process: str
    credit: str
    group_size: int
    finding: Finding


def as_json(rows: Sequence[Row], exact: Exact, about: Mapping[str, Any]) -> str:
    """Keys are told in docs/credit-check.md."""
    content = {"schema": SCHEMA, **about, "exact_gradients": exact, "findings": [asdict(row) for row in rows]}
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def markdown(rows: Sequence[Row], exact: Exact, about: Mapping[str, Any]) -> str:
    """Verdicts, plot, and a table for each process."""
    settings = ", ".join(f"{name} {value}" for name, value in about.items())
    parts = ["# Bias and noise of strategies of credit", f"Per process: {settings}.", _table(*summary(rows))]
    parts += ["In brackets: the group sizes for which a verdict holds, where they differ."]
    parts += ["![Bias and noise of each strategy](credit_check.svg)", MEANING.strip()]
    for name in exact:
        parts += [f"## {name}", f"Exact gradient: {vector(exact[name])}.", _table(COLUMNS, lines(rows, name))]
    return "\n\n".join(parts) + "\n"


def lines(rows: Sequence[Row], process: str) -> list[tuple[str, ...]]:
    """One line per strategy and group size, in the order of `COLUMNS`."""
    found = [row for row in rows if row.process == process]
    return [(row.credit, str(row.group_size), *_figures(row.finding), row.finding.verdict) for row in found]


def summary(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Columns and lines: strategies by processes, each cell the verdicts over all group sizes."""
    processes = list(dict.fromkeys(row.process for row in rows))
    cells: dict[tuple[str, str], dict[str, list[int]]] = {}
    for row in rows:
        cells.setdefault((row.credit, row.process), {}).setdefault(row.finding.verdict, []).append(row.group_size)
    strategies = dict.fromkeys(row.credit for row in rows)
    return ["credit", *processes], [[name, *(_cell(cells[name, p]) for p in processes)] for name in strategies]


def vector(values: Sequence[float]) -> str:
    """`0.123, -0.061`"""
    return ", ".join(f"{value:.3f}" for value in values)


def _cell(verdicts: Mapping[str, Sequence[int]]) -> str:
    if len(verdicts) == 1:
        return next(iter(verdicts))
    return "; ".join(f"{verdict} ({', '.join(map(str, sizes))})" for verdict, sizes in verdicts.items())


def _figures(finding: Finding) -> tuple[str, str, str]:
    scale, angle = finding.scale, finding.angle
    return (
        f"{scale.value:.2f} ({scale.low:.2f} to {scale.high:.2f})",
        "-" if angle is None else f"{angle.value:.1f} ({angle.low:.1f} to {angle.high:.1f})",
        "-" if finding.noise is None else f"{finding.noise:.3g}",
    )


def _table(columns: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [columns, ["---"] * len(columns), *body])
