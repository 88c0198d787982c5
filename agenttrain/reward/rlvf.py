"""Trajectory -> one score per turn, from facts that the environment verified: reinforcement learning with verifiable
feedback (in its outcome form RLVR, arXiv 2411.15124)."""

from __future__ import annotations

from dataclasses import dataclass, field

from agenttrain.types import Observation, Trajectory


@dataclass
class Rlvf:
    """`success` or `failure` on the last turn; on each turn `valid_call` for a call that was understood and executed,
    `tool_error` where a valid call failed, `progress` times the environment's own reward, and for each of `checks` that
    many times the fact of that name in its feedback (a truth counts 1).

    A truncated episode has failed. An episode without a turn has no scores.
    """

    weight: float = 1.0
    success: float = 1.0
    failure: float = 0.0
    valid_call: float = 0.0
    tool_error: float = 0.0
    progress: float = 0.0
    checks: dict[str, float] = field(default_factory=dict)

    def __call__(self, trajectory: Trajectory) -> list[float]:
        scores = [self._of_turn(turn.observation) for turn in trajectory.turns]
        if scores:
            scores[-1] += self.success if trajectory.success else self.failure
        return scores

    def _of_turn(self, seen: Observation) -> float:
        facts = seen.feedback
        failed, refused = bool(facts.get("tool_error")), bool(facts.get("invalid_call"))
        checked = sum(pay * float(facts.get(name) or 0) for name, pay in self.checks.items())
        called = self.valid_call * (not failed and not refused)
        return self.progress * seen.reward + self.tool_error * failed + called + checked
