"""Figures by step -> the charts of a report: which belong together, in which unit, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from agenttrain.report.run import Row


@dataclass(frozen=True)
class Chart:
    """Figures that share an axis."""

    title: str
    unit: str
    figures: tuple[str, ...]
    """Names, with `*` for any part."""


CHARTS = (
    Chart("Success", "share of episodes", ("success", "heldout_success")),
    Chart("Reward by term", "sum per episode, unweighted", ("reward/*",)),
    Chart("Loss", "", ("loss", "heldout_loss")),
    Chart("Entropy", "nats per sampled token", ("entropy", "heldout_entropy")),
    Chart("KL to the reference", "nats per sampled token", ("kl",)),
    Chart("Clipped", "share of tokens", ("clip_ratio/region_mean", "clip_ratio/low_mean", "clip_ratio/high_mean")),
    Chart("Groups without signal", "share of groups", ("groups_without_variance",)),
    Chart("Turns", "per episode", ("turns",)),
    Chart("Length", "tokens per episode", ("sampled_tokens", "episode_tokens")),
    Chart(
        "Faults of the agent", "share of turns; cut short: of episodes", ("invalid_calls", "tool_errors", "truncated")
    ),
    Chart("Safety", "share of episodes; of a principle: breaches per episode", ("unsafe", "violations/*")),
    Chart("Failed around the agent", "episodes", ("failed_by_us", "reward_errors")),
    Chart("Time", "seconds per step", ("rollout_seconds", "train_seconds")),
    Chart("Waiting", "seconds, summed over episodes", ("env_seconds", "policy_seconds")),
    Chart("Variety", "distinct in a group", ("unique_states", "unique_actions")),
    Chart("Repeated", "share of turns", ("repeated_turns",)),
    Chart("Deviation of returns", "within a group", ("return_deviation",)),
    Chart("Gradient", "norm", ("grad_norm",)),
    Chart("Critic", "share of variance explained", ("explained_variance",)),
    Chart("Pull of reward terms", "mean change of an advantage", ("advantage/*",)),
    Chart("Conflict of reward terms", "share of pairs of attempts", ("conflict/*",)),
    Chart("Weight of reward terms", "", ("weight/*",)),
    Chart("Paid, and not earned", "share of episodes", ("gap/*",)),
    Chart("Sampler and trainer apart", "nats per token", ("sampler_drift", "sampler_drift_max")),
)
SKIPPED = ("step", "time", "epoch", "total_flos", "*runtime", "*_per_second", "num_tokens", "heldout_num_tokens")
"""No course to look at."""


def charts(runs: Sequence[Sequence[Row]]) -> list[dict[str, Any]]:
    """For each chart that has something to show: title, unit, whether it is a main one, and its lines, a line being
    the name of a figure, the number of its run, and `[step, value]` points."""
    if all(len(rows) < 2 for rows in runs):
        return []  # one row, as an evaluation leaves it, has no course
    names = list(dict.fromkeys(name for rows in runs for row in rows for name in row))
    names = [name for name in names if not any(fnmatch(name, pattern) for pattern in SKIPPED)]
    known = [(chart, [n for p in chart.figures for n in names if fnmatch(n, p)]) for chart in CHARTS]
    others = [name for name in names if not any(name in figures for _, figures in known)]
    rest = [(Chart(name, "", (name,)), [name]) for name in others]
    return [
        {"title": chart.title, "unit": chart.unit, "main": (chart, figures) in known, "lines": lines}
        for chart, figures in known + rest
        if (lines := [line for run, rows in enumerate(runs) for name in figures if (line := _line(name, run, rows))])
    ]


def _line(name: str, run: int, rows: Sequence[Row]) -> dict[str, Any] | None:
    points = [[row["step"], float(f"{value:.5g}")] for row in rows if (value := row.get(name)) is not None]
    return {"figure": name, "run": run, "points": points} if points else None
