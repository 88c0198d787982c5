"""Trajectories -> advantages: a score per turn (a process reward model, checked sub-goals) as the turn's own reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agenttrain.credit.anchors import by_state
from agenttrain.credit.groups import PerTurn, Turns, against_others, compared, relative
from agenttrain.ranges import NonNegative, Share
from agenttrain.types import Trajectory


@dataclass(frozen=True)
class Process:
    """A_t = A_O + omega A_P: A_P from the scores of the reward named `term`, A_O from the others as Dr. GRPO.

    A_P is the discounted sum of what is still to come. `form=progress` takes differences of successive scores,
    gamma p_t - p_{t-1} from 0 on: a potential that pays for what is gained and takes back what is lost, so that a loop
    earns nothing. `absolute` takes the scores as they are. `baseline` compares with the other attempts at the same turn
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
        turns = Turns(batch)
        scores = turns.rewards if self.term is None else turns.scores([self.term])
        returns = turns.discounted(self._paid(turns, scores), self.gamma)
        if self.baseline == "group":
            process = against_others(turns, returns)
        else:
            process = compared(returns, by_state(turns), "none", 0.0)
        outcome = relative(turns, turns.rewards - scores, "none", 0.0, "trajectory")
        return turns.shaped(outcome + self.omega * process)

    def _paid(self, turns: Turns, scores: np.ndarray) -> np.ndarray:
        if self.form == "absolute":
            return scores
        before = np.append(0.0, scores)[:-1]
        return self.gamma * scores - np.where(turns.number == 0, 0.0, before)
