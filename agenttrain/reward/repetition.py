"""Trajectory -> one score per turn: a price on doing again, in the same state, what was done there before."""

from __future__ import annotations

import json
from dataclasses import dataclass

from agenttrain.ranges import NonNegative
from agenttrain.types import Message, Trajectory


@dataclass
class Repetition:
    """-penalty for every turn whose action equals an earlier one that was taken in the same state (its key)."""

    weight: float = 1.0
    penalty: NonNegative = 0.1

    def __call__(self, trajectory: Trajectory) -> list[float]:
        seen: set[tuple[str, str]] = set()
        scores = []
        for turn in trajectory.turns:
            move = turn.observation.state, _said(turn.action.message)
            scores.append(-self.penalty * (move in seen))
            seen.add(move)
        return scores


def _said(action: Message) -> str:
    """Content and calls, whatever ids the calls have."""
    calls = [call.get("function") for call in action.get("tool_calls") or ()]
    return json.dumps([action.get("content"), calls], sort_keys=True, default=str)
