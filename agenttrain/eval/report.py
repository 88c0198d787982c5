"""Figures -> `eval.json` for programs, and `report.md` and a table for people."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from agenttrain.eval import metrics
from agenttrain.eval.statistics import Results, margin, pass_at, pass_hat, standard_error, success_rate
from agenttrain.terminal import visible
from agenttrain.trajectory_record import versions
from agenttrain.types import FAILED_BY_US, Message, Trajectory

SCHEMA = "agenttrain.eval/1"
TURNS_SHOWN = 3
"""Turns of an example shown from its beginning and from its end."""
CHARACTERS_SHOWN = 500
"""Of one message of an example."""
AND = " and "
"""Between the versions of one library, where episodes were played with several."""
COSTS = {"total": "cost of all episodes", "episode": "cost per episode", "success": "cost per success"}
"""Names of what `metrics.cost` tells."""

Evaluation = dict[str, Any]
"""The content of `eval.json`; its keys are told in docs/eval.md."""


def evaluate(
    trajectories: Sequence[Trajectory],
    parts: Mapping[str, str] | None = None,
    prices: tuple[float, float] | None = None,
    **about: Any,
) -> Evaluation:
    """Everything that is known about a set of episodes; `about` (policy, task set, ...) is put in as it is. `parts` has
    for tasks of several environments the one that each belongs to, `prices` those of a million tokens read and sampled.

    Raises:
        ValueError: not one episode says anything about the agent.
    """
    results = metrics.results(trajectories)
    if not results:
        raise ValueError("no episode without an error of environment or infrastructure")
    most = max(map(len, results.values()))
    chances = {
        name: {str(k): asdict(rate) for k in range(1, most + 1) if (rate := estimate(k, results))}
        for name, estimate in (("pass_at", pass_at), ("pass_hat", pass_hat))
    }
    judged = sum(map(len, results.values()))
    return {
        "schema": SCHEMA,
        **about,
        "versions": _versions(trajectories),
        "success": asdict(success_rate(results)),
        "standard_error": standard_error(results),
        "success_in": {name: asdict(success_rate(own)) for name, own in _split(results, parts or {}).items()},
        **chances,
        "episodes": {"played": len(trajectories), "judged": judged, "tasks_judged": len(results)},
        "stops": metrics.stops(trajectories),
        "figures": metrics.figures(trajectories),
        "facts": metrics.facts(trajectories),
        "cost": metrics.cost(trajectories, *prices) if prices else None,
        "results": results,
    }


def _versions(trajectories: Sequence[Trajectory]) -> dict[str, str]:
    """Of all episodes: a run that was resumed may have begun with others."""
    found: dict[str, dict[str, None]] = {}
    for trajectory in trajectories:
        for name, version in versions(trajectory).items():
            found.setdefault(name, {})[version] = None
    return {name: AND.join(met) for name, met in found.items()}


def _split(results: Results, parts: Mapping[str, str]) -> Mapping[str, Results]:
    """Part -> the results of its tasks."""
    found: dict[str, dict[str, Sequence[bool]]] = {}
    for task, attempts in results.items():
        if task in parts:
            found.setdefault(parts[task], {})[task] = attempts
    return dict(sorted(found.items()))


def rows(evaluation: Evaluation) -> list[tuple[str, str]]:
    """What a person wants to know, as names and texts."""
    figures, found = evaluation["figures"], [("success (95 % interval)", rate_text(evaluation["success"]))]
    found += [(f"success in {name}", rate_text(rate)) for name, rate in evaluation["success_in"].items()]
    # 2, 4, 8, ... and the last; `eval.json` has every k.
    known = [int(k) for k in evaluation["pass_at"] if k != "1"]
    shown = {str(k) for k in known if k & (k - 1) == 0 or k == max(known)}
    for name, sign in (("pass_at", "pass@"), ("pass_hat", "pass^")):
        found += [(f"{sign}{k}", rate_text(rate)) for k, rate in evaluation[name].items() if k in shown]
    found.append(("turns per episode", _number(figures["turns"])))
    found.append(("turns of successes", _number(figures["turns_of_successes"])))
    found.append(("invalid calls, of all turns", _percent(figures["invalid_calls"])))
    found.append(("tool errors, of all turns", _percent(figures["tool_errors"])))
    found += [(f"ended as {stop}", _percent(figures[stop])) for stop in metrics.OWN_STOPS]
    found.append(("tokens sampled per episode", _number(figures["tokens"])))
    found.append(("seconds per episode", _number(figures["seconds"])))
    found += [(COSTS[of], _money(value)) for of, value in (evaluation.get("cost") or {}).items()]
    found += [(f"{name} (told by the environment)", f"{value:.3g}") for name, value in evaluation["facts"].items()]
    return found


def excluded(evaluation: Evaluation) -> str:
    """A sentence on the episodes that failed for reasons not the agent's; empty if there were none."""
    faults = {stop: n for stop, n in evaluation["stops"].items() if stop in FAILED_BY_US}
    if not faults:
        return ""
    kinds = ", ".join(f"{n} {stop}" for stop, n in faults.items())
    failed, played = sum(faults.values()), evaluation["episodes"]["played"]
    return f"{failed} of {played} episodes failed through no fault of the agent ({kinds}); no figure counts them."


def leaked(evaluation: Evaluation) -> str:
    """A sentence on the tasks that the model was trained on; empty if none is known to be."""
    tasks = evaluation.get("seen_in_training") or []
    if not tasks:
        return ""
    count, first = f"{len(tasks)} of {evaluation['tasks']} tasks", tasks[0]
    return f"The model was trained on {count}, the first is {first!r}: their success tells nothing of others."


def mixed(evaluation: Evaluation) -> str:
    """A sentence on what had several versions while the episodes were played; empty if nothing had."""
    several = [f"{name} {found}" for name, found in evaluation["versions"].items() if AND in found]
    return f"Not all episodes were played with the same versions: {'; '.join(several)}." if several else ""


def markdown(evaluation: Evaluation, trajectories: Sequence[Trajectory]) -> str:
    """The report: a table of figures, how episodes ended, and one failed and one successful episode, abridged."""
    head = [
        f"# {_percent(evaluation['success']['value'])} of the tasks solved",
        describe(evaluation),
        _table(("figure", "value"), rows(evaluation)),
        excluded(evaluation),
        leaked(evaluation),
        mixed(evaluation),
        "Intervals are for other tasks of the same kind: each task weighs the same, and attempts at one task are not "
        "taken for independent.",
        "## How episodes ended",
        _table(("stop", "episodes", "successful"), _ends(evaluation, trajectories)),
    ]
    ordered = sorted(trajectories, key=lambda t: (t.stop in FAILED_BY_US, t.task.id, t.attempt))
    for title, success in (("A failed episode", False), ("A successful episode", True)):
        example = next((t for t in ordered if t.success == success), None)
        head += [f"## {title}", _example(example)] if example else []
    return "\n\n".join(part for part in head if part) + "\n"


def describe(evaluation: Evaluation) -> str:
    """`runs/sft/model (temperature 1.0, top_p 1.0) in craft: 100 tasks, 4 attempts each.`"""
    policy = dict(evaluation.get("policy") or {})
    name = policy.pop("name", "?")
    known = {key: value["name"] if isinstance(value, dict) else value for key, value in policy.items()}
    sampling = ", ".join(f"{key} {value}" for key, value in known.items() if value is not None)
    attempts = evaluation.get("attempts", 1)
    tries = f"{evaluation.get('tasks')} tasks, {attempts} attempt{'s' if attempts != 1 else ''} each."
    return f"{name}{f' ({sampling})' if sampling else ''} in {evaluation.get('env')}: {tries}"


def rate_text(rate: dict[str, float]) -> str:
    """`41.0 % (31.9 to 50.8)`"""
    return f"{100 * rate['value']:.1f} % ({100 * rate['low']:.1f} to {100 * rate['high']:.1f})"


def over_seeds(
    values: Sequence[float], form: str = ".1f", unit: str = "", low: float = -math.inf, high: float = math.inf
) -> str:
    """`7.1 (6.9 to 7.3)`: the mean of independent numbers with Student's 95 % interval, kept within `low` and `high`;
    of one number that alone, of nan `none`."""
    mean = fmean(values)
    if math.isnan(mean):
        return "none"
    if len(values) < 2:
        return f"{mean:{form}}{unit}"
    half = margin(values)
    return f"{mean:{form}}{unit} ({max(low, mean - half):{form}} to {min(high, mean + half):{form}})"


def print_table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """To stdout: ruled on a terminal, else plain and aligned, never folded."""
    lines = [[visible(cell) for cell in line] for line in lines]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(*columns)
        for line in lines:
            table.add_row(*line)
        Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(columns, *lines, strict=True)]
    for line in (columns, *lines):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _ends(evaluation: Evaluation, trajectories: Sequence[Trajectory]) -> list[tuple[str, str, str]]:
    won = metrics.stops(t for t in trajectories if t.success)
    return [(stop, str(n), str(won.get(stop, 0))) for stop, n in evaluation["stops"].items()]


def _example(trajectory: Trajectory) -> str:
    told = [
        f"Task `{trajectory.task.id}`, attempt {trajectory.attempt}: {trajectory.stop} after {len(trajectory.turns)} "
        f"turns.{f' {trajectory.error}' if trajectory.error else ''}"
    ]
    lines = [_line(message) for message in trajectory.messages]
    left_out = len(trajectory.turns) - 2 * TURNS_SHOWN
    for number, turn in enumerate(trajectory.turns):
        if number == TURNS_SHOWN and left_out > 0:
            lines.append(f"... {left_out} turns ...")
        if number < TURNS_SHOWN or number >= TURNS_SHOWN + left_out:
            lines += [_line(message) for message in (turn.action.message, *turn.observation.messages)]
    text = visible("\n".join(lines))
    fence = "`" * (1 + max(2, *map(len, re.findall("`+", text)), 0))
    return "\n\n".join([*told, f"{fence}text\n{text}\n{fence}"])


def _line(message: Message) -> str:
    text = str(message.get("content") or "")
    for call in message.get("tool_calls") or []:
        function = call.get("function") or {}
        arguments = json.dumps(function.get("arguments"), ensure_ascii=False)
        text = f"{text} {function.get('name')}{arguments}".lstrip()
    if len(text) > CHARACTERS_SHOWN:
        text = f"{text[:CHARACTERS_SHOWN]} ... ({len(text) - CHARACTERS_SHOWN} more characters)"
    return f"{message['role'] + ':':<10} {text}"


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    ruled = [columns, ["---"] * len(columns), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in ruled)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _money(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
