"""Runs of scripts/credit_curves.py -> a table with intervals, a picture, and a line for each step."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median

from agenttrain.eval.report import over_seeds
from agenttrain.eval.statistics import margin

Pair = tuple[str, str]
"""A testbed and an arm, or an arm and another."""
Point = tuple[float, float]
"""Turns per episode and success of a step of training."""

LAST = 5
"""Steps of training whose mean stands for what would have followed them, and must reach a set success."""
FINAL = 0.8
"""From this share of the environment steps on success is called final."""
WINDOWS = 12
"""Points of a curve in the picture."""
WIDTH, HEIGHT, GAP = 300, 170, 46
"""Pixels of a testbed's curves, and between two."""
COLOURS = ("#57606a", "#1b7f5c", "#d1541f", "#2f6fb3", "#9a6bb3", "#c99a06", "#2aa5a0", "#b0306a", "#6b8e23", "#8b5a2b")
STYLE = (
    "text{font:12px system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif;fill:#24292f}"
    ".small{font-size:11px;fill:#57606a}.head{font-weight:600}.grid{stroke:#e3e6e9}"
)


@dataclass(frozen=True)
class Testbed:
    """A kind of corridor, and who is compared with whom on it."""

    about: str
    env: list[str]
    arms: list[str]
    """The first is the base of all others."""
    pairs: list[Pair] = field(default_factory=list)
    """Differences besides those from the base."""
    clone: list[str] = field(default_factory=list)
    """What the episodes that its clone imitates have besides; none: it starts from the clone of all."""


@dataclass(frozen=True)
class Run:
    """One learning curve."""

    testbed: str
    arm: str
    rate: float
    seed: int
    folder: Path

    @cached_property
    def curve(self) -> list[Point]:
        """Step by step."""
        rows = map(json.loads, (self.folder / "metrics.jsonl").read_text().splitlines())
        return [(row["turns"], row["success"]) for row in rows if "success" in row]

    @property
    def turns(self) -> float:
        """Environment steps in each of the episodes played side by side."""
        return sum(turns for turns, _ in self.curve)


def success(curve: Sequence[Point], start: float, end: float) -> float:
    """Mean success between two numbers of environment steps (here: turns per place in the batch).

    A curve that ends before is continued by the mean of its last steps: who learned to be quick made fewer.
    """
    at, total = 0.0, 0.0
    rest = (math.inf, fmean(rate for _, rate in curve[-LAST:]))
    for turns, rate in [*curve, rest]:
        total += rate * max(0.0, min(end, at + turns) - max(start, at))
        at += turns
    return total / (end - start)


def budget(runs: Sequence[Run]) -> float:
    """The environment steps that strategies are compared over: those that half of the runs have made."""
    return median(run.turns for run in runs)


def delayed(curve: Sequence[Point], turns: float, rate: float) -> list[Point]:
    """The curve, after environment steps (in each place of the batch) in which nothing was learned."""
    return [(turns, rate), *curve]


def reached(curve: Sequence[Point], level: float) -> float | None:
    """Environment steps, in each place of the batch, until the mean success of `LAST` steps of training is `level`."""
    for end in range(LAST, len(curve) + 1):
        if fmean(rate for _, rate in curve[end - LAST : end]) >= level:
            return sum(turns for turns, _ in curve[:end])
    return None


def thousands(curve: Sequence[Point], level: float, places: int) -> str:
    """Of environment steps in all places together, until a success of `level` is reached."""
    turns = reached(curve, level)
    return "never" if turns is None else f"{turns * places / 1000:.1f}"


def sooner(ours: Sequence[Sequence[Point]], theirs: Sequence[Sequence[Point]], level: float) -> str:
    """How many of ours reach the level in fewer steps than theirs of the same seed, where either of them reaches it."""
    found = [(reached(one, level), reached(other, level)) for one, other in zip(ours, theirs, strict=True)]
    steps = [(one or math.inf, other or math.inf) for one, other in found if one or other]
    return f"{sum(one < other for one, other in steps)} of {len(steps)}"


def best_rate(runs: Sequence[Run]) -> float:
    """The learning rate with the highest mean success over its seeds."""
    end = budget(runs)
    rates = {run.rate for run in runs}
    return max(rates, key=lambda rate: fmean(success(run.curve, 0, end) for run in runs if run.rate == rate))


def interval(values: Sequence[float], sign: str = "+") -> str:
    """The mean with Student's 95 % interval."""
    return over_seeds(values, f"{sign}.3f")


# -- the table --------------------------------------------------------------------------------------------------------


def report(runs: Sequence[Run], testbeds: Mapping[str, Testbed]) -> str:
    """A section for each testbed."""
    return "\n".join(section(name, testbeds[name], here) for name, here in by_testbed(runs).items())


def section(name: str, bed: Testbed, runs: Sequence[Run]) -> str:
    """Area under the curve and final success of each arm, and the differences paired by seed."""
    end = budget(runs)
    arms = by_arm(runs)
    whole = {arm: [success(run.curve, 0, end) for run in own] for arm, own in arms.items()}
    last = {arm: [success(run.curve, FINAL * end, end) for run in own] for arm, own in arms.items()}
    base = next(iter(arms))
    lines = [
        f"## {name}: {bed.about}\n",
        f"{len(arms[base])} seeds; {end:.0f} environment steps in each of the episodes played side by side.\n",
        "| strategy | learning rate | mean success (95 %) | final success (95 %) |",
        "|---|---|---|---|",
    ]
    for arm, own in arms.items():
        lines.append(f"| {arm} | {own[0].rate:g} | {interval(whole[arm], '')} | {interval(last[arm], '')} |")
    lines += [
        "",
        "| difference, paired by seed | mean success (95 %) | seeds above | final success (95 %) |",
        "|---|---|---|---|",
    ]
    for one, other in [(arm, base) for arm in arms if arm != base] + [p for p in bed.pairs if set(p) <= set(arms)]:
        gains = [a - b for a, b in zip(whole[one], whole[other], strict=True)]
        ends = [a - b for a, b in zip(last[one], last[other], strict=True)]
        above = f"{sum(gain > 0 for gain in gains)} of {len(gains)}"
        lines.append(f"| {one} - {other} | {interval(gains)} | {above} | {interval(ends)} |")
    return "\n".join(lines) + "\n"


def by_testbed(runs: Sequence[Run]) -> dict[str, list[Run]]:
    return {name: [run for run in runs if run.testbed == name] for name in dict.fromkeys(run.testbed for run in runs)}


def by_arm(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """In order of their seeds."""
    arms = dict.fromkeys(run.arm for run in runs)
    return {arm: sorted((run for run in runs if run.arm == arm), key=lambda run: run.seed) for arm in arms}


def write_csv(runs: Sequence[Run], path: Path) -> None:
    """A line for each step of each run."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["testbed", "strategy", "learning_rate", "seed", "step", "turns", "success"])
        for run in runs:
            for step, (turns, rate) in enumerate(run.curve, start=1):
                rows.writerow([run.testbed, run.arm, run.rate, run.seed, step, turns, rate])


# -- the picture ------------------------------------------------------------------------------------------------------


def picture(runs: Sequence[Run], testbeds: Mapping[str, Testbed]) -> str:
    """Success over environment steps as the text of an SVG file: the mean of the seeds, and its 95 % interval."""
    beds, arms = by_testbed(runs), list(by_arm(runs))
    strokes = {arm: _stroke(place) for place, arm in enumerate(arms)}
    columns = min(2, len(beds))
    rows = math.ceil(len(beds) / columns)
    head = 20 + 16 * math.ceil(len(arms) / columns / 3)
    width, height = GAP + columns * (WIDTH + GAP), head + rows * (HEIGHT + 2 * GAP)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>Success while learning, by strategy of credit</title><style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for place, arm in enumerate(arms):
        x, y = GAP + 112 * (place % (3 * columns)), 16 + 16 * (place // (3 * columns))
        parts.append(f'<path d="M{x} {y - 4}h16" {strokes[arm]}/>' + _text(x + 21, y, arm))
    for place, (name, here) in enumerate(beds.items()):
        left = GAP + (place % columns) * (WIDTH + GAP)
        top = head + GAP + (place // columns) * (HEIGHT + 2 * GAP)
        parts.append(_text(left, top - 22, name, "head"))
        parts.append(_text(left, top - 8, testbeds[name].about.split(":")[0], "small"))
        parts += _panel(left, top, here, strokes)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(left: float, top: float, runs: Sequence[Run], strokes: Mapping[str, str]) -> Iterator[str]:
    end = budget(runs)
    edges = [end * n / WINDOWS for n in range(WINDOWS + 1)]
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = top + HEIGHT * (1 - share)
        yield f'<path class="grid" d="M{left} {y:.1f}h{WIDTH}"/>' + _text(left - 6, y + 4, f"{share:g}", "small", "end")
    yield _text(left + WIDTH / 2, top + HEIGHT + 30, "environment steps", "small", "middle")
    for step in (0, end / 2, end):
        yield _text(left + WIDTH * step / end, top + HEIGHT + 15, f"{step:.0f}", "small", "middle")
    for arm, own in by_arm(runs).items():
        values = [[success(run.curve, a, b) for run in own] for a, b in pairwise(edges)]
        xs = [left + WIDTH * (a + b) / 2 / end for a, b in pairwise(edges)]
        middle = [_y(top, fmean(found)) for found in values]
        upper = [_y(top, fmean(found) + margin(found)) for found in values]
        lower = [_y(top, fmean(found) - margin(found)) for found in values]
        band = _line(xs, upper) + _line(xs[::-1], lower[::-1]).replace("M", "L")
        yield f'<path d="{band}Z" fill="{COLOURS[0]}" fill-opacity="0.10"/>'
        yield f'<path d="{_line(xs, middle)}" fill="none" {strokes[arm]}/>'


def _stroke(place: int) -> str:
    """A colour, and dashes where all colours are taken."""
    dashes = ' stroke-dasharray="5 3"' if place >= len(COLOURS) else ""
    return f'stroke="{COLOURS[place % len(COLOURS)]}" stroke-width="2"{dashes}'


def _y(top: float, share: float) -> float:
    return top + HEIGHT * (1 - min(1.0, max(0.0, share)))


def _line(xs: Sequence[float], ys: Sequence[float]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True))


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(text)}</text>'
