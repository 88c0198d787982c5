"""Trajectories -> pairs of which one is preferred, both at the same task: what a reward model learns from."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agenttrain.types import FAILED_BY_US, Trajectory


@dataclass(frozen=True)
class Pair:
    """Two attempts at one task."""

    chosen: Trajectory
    rejected: Trajectory

    @property
    def task(self) -> str:
        """The id of the task, by which pairs are held out."""
        return self.chosen.task.id


def usable(trajectories: Iterable[Trajectory]) -> list[Trajectory]:
    """Those that the agent played: with a turn, and not failed by us (an unscored episode was played)."""
    return [t for t in trajectories if t.turns and (t.stop == "reward_error" or t.stop not in FAILED_BY_US)]


def by_outcome(trajectories: Sequence[Trajectory], most: int, seed: int) -> list[Pair]:
    """Success over failure, within each task; of more than `most` pairs of a task, so many drawn by `seed`."""
    groups: dict[str, tuple[list[Trajectory], list[Trajectory]]] = {}
    for trajectory in trajectories:
        groups.setdefault(trajectory.task.id, ([], []))[not trajectory.success].append(trajectory)
    return drawn(
        (Pair(chosen, rejected) for won, lost in groups.values() for chosen in won for rejected in lost), most, seed
    )


def drawn(pairs: Iterable[Pair], most: int, seed: int) -> list[Pair]:
    """Of more than `most` pairs of a task, so many drawn by `seed`."""
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.task, []).append(pair)
    for task, of_task in groups.items():
        random.Random(f"{seed} {task}").shuffle(of_task)
    return [pair for of_task in groups.values() for pair in of_task[:most]]


def held_out(tasks: Iterable[str], share: float, seed: int) -> set[str]:
    """About `share` of the tasks, drawn by `seed`: at least one, where there are two and `share` is above 0."""
    ordered = sorted(set(tasks))
    count = min(max(1, round(share * len(ordered))), len(ordered) - 1) if share > 0 else 0
    return set(random.Random(f"held out {seed}").sample(ordered, max(0, count)))
