"""Trajectories -> advantages: GraphGPO (arXiv 2605.26684), steps judged by their distance to success."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from agenttrain.credit.anchors import against_anchors, by_state
from agenttrain.credit.groups import Norm, PerTurn, added, groups, relative, spread
from agenttrain.ranges import NonNegative, Share
from agenttrain.types import Trajectory

SUCCESS = ""
"""The node behind the last turn of a successful attempt. No turn has this key: without one it is not in the graph."""


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
        whole = spread(batch, relative(batch, self.norm, self.eps))
        step = against_anchors(by_state(batch), self._returns(batch), self.norm, self.eps)
        return added(whole, step, self.omega)

    def _returns(self, batch: Sequence[Trajectory]) -> PerTurn:
        returns = [[0.0] * len(trajectory.turns) for trajectory in batch]
        for group in groups(batch):
            led = {place: _led_to(batch[place]) for place in group}
            distance = _distances([edge for edges in led.values() for edge in edges])
            for place, edges in led.items():
                returns[place] = [
                    self.scale * self.gamma ** distance[end] if end in distance else 0.0 for _, end in edges
                ]
        return returns


def _led_to(trajectory: Trajectory) -> list[tuple[str, str | None]]:
    """For each turn its state and the next, None where that is not known."""
    states: list[str | None] = [turn.observation.state or None for turn in trajectory.turns]
    ends = [*states[1:], SUCCESS if trajectory.success else None]
    return [(state or "", end) for state, end in zip(states, ends, strict=True)]


def _distances(edges: list[tuple[str, str | None]]) -> dict[str | None, int]:
    """Fewest steps from each state to success; states without a path are left out."""
    before: dict[str, set[str]] = defaultdict(set)
    for start, end in edges:
        if start and end is not None:
            before[end].add(start)
    distance: dict[str | None, int] = {SUCCESS: 0}
    waiting = deque([SUCCESS])
    while waiting:
        end = waiting.popleft()
        for start in before[end] - distance.keys():
            distance[start] = distance[end] + 1
            waiting.append(start)
    return distance
