"""Trajectory -> one score per turn, from facts that the environment verified: reinforcement learning with verifiable
feedback (in its outcome form RLVR, arXiv 2411.15124)."""

from __future__ import annotations

from dataclasses import dataclass

from agenttrain.types import Trajectory


@dataclass
class Rlvf:
    """`success` or `failure` on the last turn; on each turn `tool_error` where a valid call failed and `progress` times
    the environment's own reward of the turn.

    A truncated episode has failed. An episode without a turn has no scores.
    """

    weight: float = 1.0
    success: float = 1.0
    failure: float = 0.0
    tool_error: float = 0.0
    progress: float = 0.0

    def __call__(self, trajectory: Trajectory) -> list[float]:
        seen = [turn.observation for turn in trajectory.turns]
        scores = [self.progress * o.reward + self.tool_error * bool(o.feedback.get("tool_error")) for o in seen]
        if scores:
            scores[-1] += self.success if trajectory.success else self.failure
        return scores
