"""Trajectories -> advantages: GraphGPO (arXiv 2605.26684), steps judged by their distance to success."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agenttrain.credit.anchors import by_state
from agenttrain.credit.groups import Norm, PerTurn, Turns, compared, relative
from agenttrain.ranges import NonNegative, Share
from agenttrain.types import Trajectory


@dataclass(frozen=True)
class Graphgpo:
    """A_t = A_E + omega A_S, A_S the anchor-normalised return `scale * gamma^d` of the step.

    d is the number of further steps to success from where the step led, along any path that some attempt at the task
    has found (a search backwards from success through the graph of states); without a path the return is 0. So a good
    step of a failed attempt is praised for what the others did from there.
    """

    gamma: Share = 0.1
    omega: NonNegative = 1.0
    scale: NonNegative = 10.0
    norm: Norm = "std"
    eps: NonNegative = 1e-6

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn:
        turns = Turns(batch)
        anchors = by_state(turns)
        distance = _to_success(turns, anchors)
        returns = np.where(np.isfinite(distance), self.scale * self.gamma**distance, 0.0)
        step = compared(returns, anchors, self.norm, self.eps)
        return turns.shaped(relative(turns, turns.rewards, self.norm, self.eps, "trajectory") + self.omega * step)


def _to_success(turns: Turns, anchors: np.ndarray) -> np.ndarray:
    """Fewest steps to success from where each turn led; infinite where no attempt has found a path."""
    success, nowhere = anchors.max(initial=-1) + 1, anchors.max(initial=-1) + 2
    ended = np.array([success if trajectory.success else nowhere for trajectory in turns.played], dtype=np.int64)
    last = turns.number == turns.lengths[turns.attempt] - 1
    led_to = np.where(last, ended[turns.attempt], np.append(anchors[1:], nowhere)[: len(anchors)])
    distance = np.full(nowhere + 1, np.inf)
    distance[success], steps = 0.0, 0
    while len(found := anchors[(distance[led_to] == steps) & (distance[anchors] > steps + 1)]):
        steps += 1
        distance[found] = steps
    return distance[led_to]
