"""Trajectories -> advantages: Agent-R1 (arXiv 2511.14460), GAE over steps with process rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from agenttrain.credit.gae import Gae, PerToken
from agenttrain.credit.groups import PerTurn, discounted
from agenttrain.ranges import Share
from agenttrain.types import FAILED_BY_US, Trajectory


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

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn | PerToken:
        """
        Raises:
            UserError: a trajectory has no values of a critic (algo=ppo).
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
        parts = [self._process(trajectory) for trajectory in batch if trajectory.stop not in FAILED_BY_US]
        largest = max((abs(rest) for part in parts for rest in discounted(part, 1.0)), default=0.0)
        if not largest:
            return list(batch)
        return [
            replace(t, weights=t.weights | {name: t.weights.get(name, 1.0) / largest for name in self.process})
            for t in batch
        ]

    def _process(self, trajectory: Trajectory) -> list[float]:
        scores = {name: trajectory.scores[name] for name in self.process if name in trajectory.scores}
        return replace(trajectory, scores=scores).turn_rewards
