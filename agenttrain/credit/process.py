"""Trajectories -> advantages: a score per turn (a process reward model, checked sub-goals) as the turn's own reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from agenttrain.credit.anchors import against_anchors, by_state
from agenttrain.credit.groups import PerTurn, added, against_others, discounted, relative, spread
from agenttrain.errors import UserError
from agenttrain.ranges import NonNegative, Share
from agenttrain.types import Trajectory


@dataclass(frozen=True)
class Process:
    """A_t = A_O + omega A_P: A_P from the scores of the reward named `term`, A_O from the others as Dr. GRPO.

    A_P is the discounted sum of what is still to come. `form=progress` takes differences of successive scores,
    p_t - p_{t-1} from 0: a potential that pays for what is gained and takes back what is lost, so that a loop earns
    nothing. `absolute` takes the scores as they are. `baseline` compares with the other attempts at the same turn
    (`group`) or in the same state (`anchor`).

    The scores are not added to the outcome (a long episode of middling turns would beat a short success): outcome and
    process have a baseline each (as AgentPRM, arXiv 2502.10325, keeps them apart).
    """

    term: str | None = None
    form: Literal["absolute", "progress"] = "progress"
    baseline: Literal["group", "anchor"] = "group"
    gamma: Share = 1.0
    omega: NonNegative = 1.0

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn:
        """
        Raises:
            UserError: no reward of that name.
        """
        returns = [discounted(self._steps(trajectory), self.gamma) for trajectory in batch]
        if self.baseline == "group":
            process = against_others(batch, returns)
        else:
            process = against_anchors(by_state(batch), returns, "none", 0.0)
        outcomes = [self._part(trajectory, judging=False) for trajectory in batch]
        return added(spread(batch, relative(outcomes, "none", 0.0)), process, self.omega)

    def _steps(self, trajectory: Trajectory) -> list[float]:
        if self.term and trajectory.scores and self.term not in trajectory.scores:
            known = ", ".join(trajectory.scores)
            raise UserError(f"credit.term={self.term}: no such reward. There are: {known}. See reward=[...].")
        scores = self._part(trajectory, judging=True).turn_rewards
        if self.form == "absolute":
            return scores
        return [score - before for before, score in zip([0.0, *scores], scores, strict=False)]

    def _part(self, trajectory: Trajectory, judging: bool) -> Trajectory:
        """The same attempt with the scores that judge its turns, or with the others."""
        scores = {name: row for name, row in trajectory.scores.items() if (self.term in (None, name)) == judging}
        return replace(trajectory, scores=scores)
