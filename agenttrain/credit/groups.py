"""Trajectories -> groups: what the strategies of credit share. A group is the attempts at one task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from agenttrain.types import FAILED_BY_US, Trajectory

Statistics = Literal["trajectory", "turn"]
"""What mean and deviation are taken over: each trajectory once (the papers), or once per turn of it (verl-agent's code,
where a long trajectory counts more)."""

Norm = Literal["std", "none", "loo"]
"""What a difference to the mean is scaled by: 1 / (std + eps), 1, or n / (n - 1), which makes the mean that of the
others (leave one out)."""

PerTurn = list[list[float]]
"""One number for each turn of each trajectory."""


def groups(batch: Sequence[Trajectory]) -> list[list[int]]:
    """Places in the batch of each task's attempts, in order of first appearance.

    Attempts that we failed (not the agent) belong to no group: they enter no baseline and get advantage 0.
    """
    places: dict[str, list[int]] = {}
    for place, trajectory in enumerate(batch):
        if trajectory.stop not in FAILED_BY_US:
            places.setdefault(trajectory.task.id, []).append(place)
    return list(places.values())


def relative(batch: Sequence[Trajectory], norm: Norm, eps: float, statistics: Statistics = "trajectory") -> np.ndarray:
    """How much better each trajectory did than its group, in the units of `norm`; shape (batch,).

    What is compared is the sum of a trajectory's turn rewards; std has n - 1. Alone in its group: 0.
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
        elif norm == "loo":
            advantages[group] *= len(rows) / (len(rows) - 1)
    return advantages


def spread(batch: Sequence[Trajectory], advantages: np.ndarray) -> PerTurn:
    """One advantage per trajectory -> the same one for each of its turns."""
    return [[float(advantage)] * len(t.turns) for t, advantage in zip(batch, advantages, strict=True)]


def added(first: PerTurn, second: PerTurn, weight: float = 1.0) -> PerTurn:
    """first + weight * second."""
    return [[a + weight * b for a, b in zip(*rows, strict=True)] for rows in zip(first, second, strict=True)]


def discounted(rewards: Sequence[float], gamma: float) -> list[float]:
    """G_t = r_t + gamma G_{t+1}, one per turn."""
    following, returns = 0.0, []
    for reward in reversed(rewards):
        following = reward + gamma * following
        returns.append(following)
    return returns[::-1]


def gae(rewards: Sequence[float], values: Sequence[float], gamma: float, lam: float) -> list[float]:
    """Generalised advantage estimates (arXiv 1506.02438), one for each reward.

    A_t = delta_t + gamma lam A_{t+1}, delta_t = r_t + gamma V_{t+1} - V_t; after the last, V and A are 0.
    """
    advantage, next_value, found = 0.0, 0.0, []
    for reward, value in zip(reversed(rewards), reversed(values), strict=True):
        advantage = reward + gamma * next_value - value + gamma * lam * advantage
        next_value = value
        found.append(advantage)
    return found[::-1]


def against_others(batch: Sequence[Trajectory], returns: PerTurn) -> PerTurn:
    """Each turn's return against the mean of the *other* attempts' at the same turn; alone in its group: 0.

    An attempt that had stopped before has 0 there and stays in the mean, which so has the same number of terms whatever
    the policy does.
    """
    advantages = [[0.0] * len(trajectory.turns) for trajectory in batch]
    for group in groups(batch):
        if len(group) < 2:
            continue
        lengths = [len(batch[place].turns) for place in group]
        own = np.zeros((len(group), max(lengths)))
        for row, place in enumerate(group):
            own[row, : lengths[row]] = returns[place]
        others = (own.sum(axis=0) - own) / (len(group) - 1)
        for row, place in enumerate(group):
            advantages[place] = (own - others)[row, : lengths[row]].tolist()
    return advantages


def blameless(batch: Sequence[Trajectory], advantages: PerTurn) -> PerTurn:
    """0 for every turn of an attempt that we failed."""
    return [
        [0.0] * len(row) if trajectory.stop in FAILED_BY_US else row
        for trajectory, row in zip(batch, advantages, strict=True)
    ]


def whitened(batch: Sequence[Trajectory], values: PerTurn) -> PerTurn:
    """(value - mean) / sqrt(var + 1e-8) over all numbers of the attempts that we did not fail, var with n - 1, as
    verl's `masked_whiten`; 0 for the others, and for a number that is the only one."""
    flat = np.array([v for t, row in zip(batch, values, strict=True) if t.stop not in FAILED_BY_US for v in row])
    if len(flat) < 2:
        return [[0.0] * len(row) for row in values]
    mean, scale = float(flat.mean()), float(1 / np.sqrt(flat.var(ddof=1) + 1e-8))
    return blameless(batch, [[(value - mean) * scale for value in row] for row in values])
