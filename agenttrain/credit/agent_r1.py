"""Trajectories -> advantages: Agent-R1 (arXiv 2511.14460), GAE over steps with process rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from agenttrain.credit.gae import Gae, PerToken
from agenttrain.credit.groups import Turns
from agenttrain.ranges import Share
from agenttrain.types import Advantage, Trajectory


@dataclass(frozen=True)
class AgentR1:
    """`credit=gae` on the outcome plus process rewards, scaled by the batch, over steps or over tokens of the policy.

    The scores of the rewards named in `process` are divided by the largest absolute sum of them that was still to come
    anywhere in the batch: whatever their number, they weigh as much as an outcome of 1. Environment tokens are no part
    of time (the action mask). `level=step` is the later version's process: a value a step, advantages whitened over
    steps; `level=token` the first version's, with a step's rewards on its last token.
    """

    process: Sequence[str] = ()
    level: Literal["step", "token"] = "step"
    gamma: Share = 1.0
    lam: Share = 1.0

    def __call__(self, batch: Sequence[Trajectory]) -> Sequence[Sequence[Advantage]]:
        """
        Raises:
            UserError: a trajectory has no values of a critic.
        """
        return self._gae(self._scaled(batch))

    def targets(self, batch: Sequence[Trajectory]) -> PerToken:
        """As `Gae.targets`."""
        return self._gae.targets(self._scaled(batch))

    @property
    def _gae(self) -> Gae:
        if self.level == "step":
            return Gae("turn", gamma_turn=self.gamma, lam_turn=self.lam)
        return Gae("token", gamma=self.gamma, lam=self.lam)

    def _scaled(self, batch: Sequence[Trajectory]) -> list[Trajectory]:
        turns = Turns(batch)
        to_come = turns.discounted(turns.scores(self.process), 1.0)
        scale = 1 / (np.abs(to_come).max(initial=0.0) + 1e-6)
        scaled = [t.weights | {name: t.weights.get(name, 1.0) * scale for name in self.process} for t in batch]
        return [replace(trajectory, weights=weights) for trajectory, weights in zip(batch, scaled, strict=True)]
