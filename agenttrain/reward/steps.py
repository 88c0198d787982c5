"""Trajectory -> one score per turn: a price on every step, so that of two ways to succeed the shorter one is better."""

from __future__ import annotations

from dataclasses import dataclass

from agenttrain.types import Trajectory


@dataclass
class Steps:
    """-cost for every turn. Keep cost times the longest episode below what success pays, or giving up early is best."""

    weight: float = 1.0
    cost: float = 0.01

    def __call__(self, trajectory: Trajectory) -> list[float]:
        return [-self.cost] * len(trajectory.turns)
