"""A step's episodes -> how the terms of their reward pull: against each other, and on the advantages. No torch here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from agenttrain.trainer.tokens import numbers
from agenttrain.types import FAILED_BY_US, Advantage, Credit, Trajectory


def pulls(batch: Sequence[Trajectory], advantages: Sequence[Sequence[Advantage]], credit: Credit) -> dict[str, float]:
    """Figures of one step with several terms; empty where only one counts.

    `conflict/<a>+<b>`: of the pairs of attempts at one task that both terms rank, the share that they rank oppositely
    (absent where there is no such pair). `advantage/<a>`: mean change of an advantage, up or down, when credit is
    computed again without the term; exact for every strategy, and where credit is linear in rewards (`dr_grpo`,
    `rloo`, `turn`) the advantages are the sum of such changes.
    """
    played = [t for t in batch if t.stop not in FAILED_BY_US]
    names = list(dict.fromkeys(name for t in played for name in t.scores if t.weights.get(name, 1.0)))
    if len(names) < 2:
        return {}
    found: dict[str, float] = {}
    ranked = {name: _signs(played, name) for name in names}
    for one, other in combinations(names, 2):
        product = ranked[one] * ranked[other]
        if product.any():
            found[f"conflict/{one}+{other}"] = float((product < 0).sum() / (product != 0).sum())
    whole = _flat(advantages)
    for name in names:
        rest = credit([replace(t, weights=t.weights | {name: 0.0}) for t in batch])
        found[f"advantage/{name}"] = float(np.abs(whole - _flat(rest)).mean()) if len(whole) else 0.0
    return found


def report(steps: Sequence[dict[str, float]]) -> str:
    """The figures of `pulls` over a run as Markdown; empty for a run with one term."""
    terms = _named(steps, "advantage/")
    if not terms:
        return ""
    pulled = {name: _mean(steps, f"advantage/{name}") for name in terms}
    total = sum(pulled.values()) or 1.0
    lines = ["| term | mean score, first and last steps | last weight | share of the advantages |", "|---" * 4 + "|"]
    size = max(1, len(steps) // 10)
    for name in terms:
        first, last = (_mean(part, f"reward/{name}") for part in (steps[:size], steps[-size:]))
        weights = [row[f"weight/{name}"] for row in steps if f"weight/{name}" in row]
        weight = f"{weights[-1]:.3g}" if weights else "as set"
        lines.append(f"| {name} | {first:.3f}, {last:.3f} | {weight} | {pulled[name] / total:.0%} |")
    for pair in _named(steps, "conflict/"):
        against = _mean(steps, f"conflict/{pair}")
        lines.append(f"\n{' and '.join(pair.split('+'))} ranked {against:.0%} of pairs of attempts oppositely.")
    return "\n".join(lines) + "\n"


def _signs(played: Sequence[Trajectory], name: str) -> np.ndarray:
    """Of each pair of attempts at one task, which one the term prefers: 1, -1, or 0."""
    groups: dict[str, list[float]] = {}
    for t in played:
        weight = t.weights.get(name, 1.0)
        groups.setdefault(t.task.id, []).append(weight * sum(t.scores.get(name, [])))
    pairs = (np.subtract.outer(np.array(sums), np.array(sums)) for sums in groups.values())
    apart = np.concatenate([gap[np.triu_indices(len(gap), 1)] for gap in pairs])
    return np.where(np.abs(apart) > 1e-9, np.sign(apart), 0.0)


def _flat(advantages: Sequence[Sequence[Advantage]]) -> np.ndarray:
    return np.array([number for row in advantages for advantage in row for number in numbers(advantage)])


def _named(steps: Sequence[dict[str, float]], prefix: str) -> list[str]:
    names: Iterable[str] = (name for row in steps for name in row if name.startswith(prefix))
    return list(dict.fromkeys(name.removeprefix(prefix) for name in names))


def _mean(steps: Sequence[dict[str, float]], name: str) -> float:
    values = [row[name] for row in steps if row.get(name) is not None]
    return sum(values) / len(values) if values else float("nan")
