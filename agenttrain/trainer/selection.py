"""Which tasks a step plays: those whose outcome is open, and others in place of groups without signal. No torch here.

Every process makes the same choice from the same gathered outcomes, and a resumed run makes it again.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agenttrain.types import FAILED_BY_US, Trajectory

Curriculum = Literal["none", "success"]
MEMORY = 0.5
"""Weight of what is known of a task's success beside that of its newest group."""
LEAST = 0.05
"""Weight of a task that always or never succeeds, where one that does in half of the cases has 1."""


@dataclass(frozen=True)
class Outcome:
    """What choosing needs to know of one episode."""

    group: int
    """Place of its group in the step."""
    reward: float
    success: bool
    failed: bool
    """By us: it says nothing about the agent."""


@dataclass
class Selection:
    """
    Args:
        tasks: number of tasks there are.
        curriculum: `success` draws a task with the weight 4 p (1 - p) of its recent success p, at least `LEAST`, after
            those that nobody has played; `none` keeps to the plan.
        refill: most further rounds of a step in which groups without signal give way to other tasks (dynamic sampling,
            DAPO, arXiv 2503.14476).
        seed: of all draws.
    """

    tasks: int
    curriculum: Curriculum = "none"
    refill: int = 0
    seed: int = 0
    known: dict[int, float] = field(default_factory=dict)
    """Task -> its recent success, 0 to 1."""

    def first(self, planned: Sequence[int], step: int) -> list[int]:
        """The tasks that a step begins with, one per group."""
        return list(planned) if self.curriculum == "none" else self._drawn(len(planned), (), f"{step}")

    def instead(self, count: int, used: Collection[int], step: int, round: int) -> list[int]:
        """Up to `count` tasks that the step has not used."""
        return self._drawn(count, used, f"{step}/{round}")

    def observe(self, played: Mapping[int, Sequence[Outcome]]) -> None:
        """Once a step: task -> the outcomes of its attempts."""
        for task, outcomes in played.items():
            judged = [outcome.success for outcome in outcomes if not outcome.failed]
            if judged:
                rate = sum(judged) / len(judged)
                self.known[task] = MEMORY * self.known.get(task, rate) + (1 - MEMORY) * rate

    def _drawn(self, count: int, used: Collection[int], place: str) -> list[int]:
        """Without replacement, by weight (Efraimidis and Spirakis 2006); with a curriculum, unknown tasks first."""
        rng = random.Random(f"selection/{self.seed}/{place}")

        def rank(task: int) -> float:
            draw = rng.random()
            if self.curriculum == "none":
                return draw
            rate = self.known.get(task)
            return 1 + draw if rate is None else draw ** (1 / max(4 * rate * (1 - rate), LEAST))

        ranks = {task: rank(task) for task in range(self.tasks)}  # a draw for each, so that `used` moves no other's
        return sorted(ranks.keys() - set(used), key=lambda task: -ranks[task])[:count]


def outcome(trajectory: Trajectory, group: int) -> Outcome:
    """Of a scored episode."""
    failed = trajectory.stop in FAILED_BY_US
    return Outcome(group, 0.0 if failed else sum(trajectory.turn_rewards), trajectory.success, failed)


def by_group(outcomes: Sequence[Outcome]) -> dict[int, list[Outcome]]:
    """Place of a group -> its outcomes."""
    groups: dict[int, list[Outcome]] = {}
    for found in outcomes:
        groups.setdefault(found.group, []).append(found)
    return groups


def silent(outcomes: Sequence[Outcome]) -> bool:
    """No two attempts of the group that say something about the agent returned differently."""
    returns = [found.reward for found in outcomes if not found.failed]
    return not returns or max(returns) - min(returns) < 1e-9
