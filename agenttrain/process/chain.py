"""A decision process: rooms in a row, where wrong actions lead back or nowhere, so that states recur."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agenttrain.process.mdp import OUTCOME, Mdp
from agenttrain.ranges import Count

FORWARD, BACK, RESET, STAY = range(4)


@dataclass(frozen=True)
class Chain:
    """In each room one action leads forward, one back, one to the first room, one nowhere; out of the last room lies
    success, which pays 1. An episode meets its states again and again, with less time left.
    """

    rooms: Count = 3
    deadline: Count = 8
    logit: float = 0.5

    def mdp(self) -> Mdp:
        move, rooms = np.zeros((self.rooms, 4, self.rooms + 1)), np.arange(self.rooms)
        move[rooms, FORWARD, rooms + 1] = 1.0
        move[rooms, BACK, np.maximum(rooms - 1, 0)] = 1.0
        move[:, RESET, 0] = 1.0
        move[rooms, STAY, rooms] = 1.0
        success = np.zeros(move.shape)
        success[:, :, self.rooms] = 1.0
        return Mdp(
            start=np.eye(self.rooms)[0],
            move=move,
            rewards={OUTCOME: success},
            row=rooms,
            logits=np.tile([self.logit, 0.0, 0.0], (self.rooms, 1)),
            deadline=self.deadline,
            keys=[f"room {room}" for room in rooms],
        )
