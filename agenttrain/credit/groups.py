"""Trajectories -> groups: what the strategies of credit share. A group is the attempts at one task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from agenttrain.types import FAILED_BY_US, Trajectory

Statistics = Literal["trajectory", "turn"]
"""What mean and deviation are taken over: each trajectory once (the papers), or once per turn of it (verl-agent's code,
where a long trajectory counts more)."""

Norm = Literal["std", "none"]


def groups(batch: Sequence[Trajectory]) -> list[list[int]]:
    """Places in the batch of each task's attempts, in order of first appearance.

    Attempts that we failed (not the agent) belong to no group: they enter no baseline and get advantage 0.
    """
    places: dict[str, list[int]] = {}
    for place, trajectory in enumerate(batch):
        if trajectory.stop not in FAILED_BY_US:
            places.setdefault(trajectory.task.id, []).append(place)
    return list(places.values())


def relative(batch: Sequence[Trajectory], norm: Norm, eps: float, statistics: Statistics) -> np.ndarray:
    """How much better each trajectory did than its group: (R - mean R) / (std R + eps), or R - mean R; shape (batch,).

    R is the sum of a trajectory's turn rewards, std has n - 1. Alone in its group: 0.
    """
    advantages = np.zeros(len(batch))
    for group in groups(batch):
        if len(group) < 2:
            continue
        returns = np.array([sum(batch[place].turn_rewards) for place in group])
        rows = np.repeat(returns, [len(batch[place].turns) for place in group]) if statistics == "turn" else returns
        if len(rows) < 2:
            continue
        advantages[group] = returns - rows.mean()
        if norm == "std":
            advantages[group] /= rows.std(ddof=1) + eps
    return advantages


def spread(batch: Sequence[Trajectory], advantages: np.ndarray) -> list[list[float]]:
    """One advantage per trajectory -> the same one for each of its turns."""
    return [[float(advantage)] * len(t.turns) for t, advantage in zip(batch, advantages, strict=True)]


def discounted(rewards: Sequence[float], gamma: float) -> list[float]:
    """G_t = r_t + gamma G_{t+1}, one per turn."""
    following, returns = 0.0, []
    for reward in reversed(rewards):
        following = reward + gamma * following
        returns.append(following)
    return returns[::-1]
