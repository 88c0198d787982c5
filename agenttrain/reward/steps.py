"""Trajectory -> one score per turn: a price on every step, so that of two ways to succeed the shorter one is better."""

from __future__ import annotations

from agenttrain.types import Trajectory


class Steps:
    """-cost for every turn. Keep cost times the longest episode below what success pays, or giving up early is best."""

    def __init__(self, weight: float = 1.0, cost: float = 0.01) -> None:
        self.weight, self.cost = weight, cost

    def __call__(self, trajectory: Trajectory) -> list[float]:
        return [-self.cost] * len(trajectory.turns)
