"""A decision process: junctions, at which wrong actions lead through fog, where nothing that is done matters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agenttrain.process.mdp import OUTCOME, Mdp
from agenttrain.ranges import Count


@dataclass(frozen=True)
class Fog:
    """At each junction one action leads to the next at once, the others through cells of fog. Success, which pays 1, is
    to pass the last junction before the deadline. In the fog the policy is uncertain, its actions have no effect, and
    its exact gradient is 0.
    """

    junctions: Count = 3
    cells: Count = 2
    actions: Count = 3
    deadline: Count = 6
    logit: float = 0.5

    def mdp(self) -> Mdp:
        states, stride = self.junctions * (1 + self.cells), 1 + self.cells
        move = np.zeros((states, self.actions, states + 1))
        for junction in range(0, states, stride):
            move[junction, 0, junction + stride] = 1.0  # the state after the last junction's fog is the end
            move[junction, 1:, junction + 1] = 1.0
            for cell in range(junction + 1, junction + stride):
                move[cell, :, cell + 1] = 1.0
        success = np.zeros(move.shape)
        success[:, :, states] = 1.0
        place = np.arange(states)
        lost = place % stride > 0
        logits = np.zeros((self.junctions + 1, self.actions - 1))
        logits[: self.junctions, :1] = self.logit
        return Mdp(
            start=np.eye(states)[0],
            move=move,
            rewards={OUTCOME: success},
            row=np.where(lost, self.junctions, place // stride),  # one row for all fog: it looks the same everywhere
            logits=logits,
            deadline=self.deadline,
            keys=[f"fog {n}" if lost[n] else f"junction {n // stride}" for n in place],
        )
