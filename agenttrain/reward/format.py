"""Trajectory -> one score per turn: a price on malformed actions, which teaches the format before anything succeeds."""

from __future__ import annotations

from dataclasses import dataclass

from agenttrain.types import Trajectory


@dataclass
class Format:
    """-penalty for every turn whose action was no valid call (malformed, unknown tool, wrong arguments, cut off)."""

    weight: float = 1.0
    penalty: float = 0.1

    def __call__(self, trajectory: Trajectory) -> list[float]:
        return [-self.penalty * bool(turn.observation.feedback.get("invalid_call")) for turn in trajectory.turns]
