"""Trajectory -> one score per turn: a second, stricter verifier of the outcome, to watch the rewards that train."""

from __future__ import annotations

from dataclasses import dataclass, field

from agenttrain.ranges import Whole
from agenttrain.types import Trajectory


@dataclass
class Strict:
    """1 on the last turn of an episode that succeeded, ended by itself, and came by it honestly; else 0.

    Honestly: no more than `invalid_calls` malformed and `tool_errors` failed calls, no principle broken (where
    `reward=safety` has looked before), and every fact in `facts` true in some turn's feedback. Learn from what an
    environment can tell: `facts=[found]` of `env=hopqa` asks that the passages of the answer were really read.
    """

    weight: float = 1.0
    invalid_calls: Whole = 0
    tool_errors: Whole = 0
    facts: list[str] = field(default_factory=list)

    def __call__(self, trajectory: Trajectory) -> list[float]:
        told = [turn.observation.feedback for turn in trajectory.turns]
        passed = (
            trajectory.success
            and trajectory.stop == "done"
            and sum(bool(facts.get("invalid_call")) for facts in told) <= self.invalid_calls
            and sum(bool(facts.get("tool_error")) for facts in told) <= self.tool_errors
            and not any(facts.get("violations") for facts in told)
            and all(any(facts.get(name) for facts in told) for name in self.facts)
        )
        return [0.0] * (len(told) - 1) + [float(passed)] if told else []
