"""Trajectories -> advantages: GiGPO whose anchors mean nothing, a control.

Anchor groups are as many and as large as in `credit=gigpo`, but a turn's state is that of a random turn of its task.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from agenttrain.credit.gigpo import Gigpo
from agenttrain.ranges import Share
from agenttrain.types import Trajectory


@dataclass(frozen=True)
class Shuffled:
    gamma: Share = 0.95

    def __call__(self, batch: Sequence[Trajectory]) -> list[list[float]]:
        states: dict[str, list[str]] = {}
        for trajectory in batch:
            states.setdefault(trajectory.task.id, []).extend(turn.observation.state for turn in trajectory.turns)
        for task, drawn in states.items():
            Random(f"{task} {drawn}").shuffle(drawn)
        return Gigpo(self.gamma)([_restated(trajectory, states[trajectory.task.id]) for trajectory in batch])


def _restated(trajectory: Trajectory, states: list[str]) -> Trajectory:
    """With the next of `states` for each turn, which are taken out."""
    turns = [replace(turn, observation=replace(turn.observation, state=states.pop())) for turn in trajectory.turns]
    return replace(trajectory, turns=turns)
