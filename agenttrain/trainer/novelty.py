"""State keys -> a bonus for states that were seldom met: counts as in MBIE-EB (Strehl and Littman 2008) and
count-based exploration (arXiv 1606.01868), per task. No torch here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b

from agenttrain.types import FAILED_BY_US, Trajectory


class Novelty:
    """How often each state of each task was met in training; within a step nothing counts, so that order does not."""

    def __init__(self) -> None:
        self.met: Counter[str] = Counter()
        """Key of task and state -> episodes that met it."""

    def bonus(self, trajectory: Trajectory) -> list[float]:
        """One score per turn: 1 / sqrt(1 + n) for a state that n earlier episodes met, at its first visit in this one;
        0 for a visit again (or staying would pay), and where the environment gives no key."""
        seen, scores = set[str](), []
        for key in _keys(trajectory):
            new = bool(key) and key not in seen
            seen.add(key)
            scores.append((1 + self.met[key]) ** -0.5 if new else 0.0)
        return scores

    def count(self, batch: Sequence[Trajectory]) -> None:
        """Once a step, with the episodes of all processes."""
        for trajectory in batch:
            if trajectory.stop not in FAILED_BY_US:
                self.met.update(set(_keys(trajectory)) - {""})


def _keys(trajectory: Trajectory) -> list[str]:
    """Of each turn's state, 16 characters; empty where there is none."""
    states = (turn.observation.state for turn in trajectory.turns)
    return [
        blake2b(f"{trajectory.task.id}\x1f{state}".encode(), digest_size=8).hexdigest() if state else ""
        for state in states
    ]
