"""A run -> the same report as plain text, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from agenttrain.errors import UserError
from agenttrain.report.curves import charts
from agenttrain.report.episodes import Entry, detail, entry
from agenttrain.report.run import Run

BARS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
WIDTH = 40
"""Characters of a course, at most."""
NEWEST = 8
"""Episodes in the overview."""


def overview(runs: Sequence[Run]) -> str:
    """Settings, findings, the course of the main figures, and the newest episodes, numbered."""
    return "\n\n".join("\n".join(_overview(run)) for run in runs)


def _overview(run: Run) -> Iterator[str]:
    told = ", ".join(f"{name} {value}" for name, value in run.chosen() if name in ("env", "reward", "credit", "seed"))
    yield f"{run.label}: {', '.join(part for part in (run.command, told) if part)}"
    for finding in run.findings():
        yield f"! {finding.seen} {finding.advice}"
    yield from (f"  {name:<28} {value}" for name, value in run.facts)
    lines = [line for chart in charts([run.rows]) if chart["main"] for line in chart["lines"]]
    for line in lines:
        values = [value for _, value in line["points"]]
        yield f"  {line['figure']:<28} {values[0]:>10.4g} {values[-1]:>10.4g}  {sparks(values)}"
    if run.kept.seen:
        yield f"  {run.kept.seen} episodes, the newest:"
    for number, listed in list(enumerate(entries(run)))[-NEWEST:]:
        yield f"  {number:>5}  {_about(listed)}"


def episode(run: Run, number: int) -> str:
    """One episode of the list, turn by turn.

    Raises:
        UserError: there is no such number.
    """
    return "\n".join(_episode(values(run, number)))


def values(run: Run, number: int) -> Entry:
    """The same as JSON values: its entry in the list, and all the rest.

    Raises:
        UserError: there is no such number.
    """
    played = [(trajectory, group) for group in run.kept.groups() for trajectory in group]
    if not 0 <= number < len(played):
        known = f"episodes 0 to {len(played) - 1}" if played else "no episodes"
        raise UserError(f"{run.label} has {known}; there is no {number}.")
    trajectory, group = played[number]
    return entry(trajectory, group) | {"details": detail(trajectory, run.words)}


def entries(run: Run) -> Iterator[Entry]:
    """The list of episodes, in order."""
    for group in run.kept.groups():
        yield from (entry(trajectory, group) for trajectory in group)


def sparks(values: Sequence[float]) -> str:
    """The course of some values in a line of bars, the lowest to the highest; means where there are many."""
    size = math.ceil(len(values) / WIDTH)
    means = [sum(part) / len(part) for start in range(0, len(values), size) if (part := values[start : start + size])]
    low, high = min(means), max(means)
    return "".join(BARS[round((mean - low) / (high - low or 1) * (len(BARS) - 1))] for mean in means)


def _about(listed: Entry) -> str:
    told = [f"step {listed['step']}"] if listed["step"] is not None else []
    told += [f"attempt {listed['attempt']}", listed["outcome"], f"{listed['turns']} turns"]
    told += [f"return {listed['return']:g}"] if listed["return"] is not None else []
    return ". ".join(filter(None, (f"{listed['task']}: {', '.join(told)}", listed["why"])))


def _episode(listed: Entry) -> Iterator[str]:
    told = listed["details"]
    yield _about(listed)
    for message in told["opening"]:
        yield from _message(message)
    for number, turn in enumerate(told["turns"], start=1):
        figures = turn["scores"] | {name: turn[name] for name in ("advantage", "entropy")}
        shown = ", ".join(f"{name} {value:g}" for name, value in figures.items() if value is not None)
        flags = "".join(f" [{turn['feedback'][k]}]" for k in ("invalid_call", "tool_error") if turn["feedback"].get(k))
        yield f"\nTurn {number}: {shown}{flags}"
        for message in (turn["action"], *turn["observation"]):
            yield from _message(message)


def _message(message: Entry) -> Iterator[str]:
    name = " ".join(filter(None, (message["role"], message.get("name"))))
    parts = [message.get("reasoning"), message["content"], *(" ".join(call) for call in message.get("calls", ()))]
    text = "\n".join(part for part in parts if part)
    yield f"  {name}: " + text.replace("\n", "\n    ")
