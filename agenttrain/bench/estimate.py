"""Trajectories, Credit -> policy gradients, one per batch: what training would compute for a policy this small."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Literal

import numpy as np

from agenttrain.bench.episodes import Episodes, regroup
from agenttrain.errors import UserError
from agenttrain.process.mdp import Mdp
from agenttrain.types import Advantage, Credit

Loss = Literal["dr_grpo", "dapo", "grpo"]
"""What the sum over turns of advantage x grad log pi is divided by: the batch's episodes, its turns, or each episode's
own turns. The last two are multiplied by the mean length of an episode, so that all have one scale."""


def gradients(
    credit: Credit, episodes: Episodes, mdp: Mdp, group_size: int, groups: int, loss: Loss = "dr_grpo"
) -> np.ndarray:
    """The strategy's estimate of `mdp.gradient` from each batch of `groups` tasks with `group_size` attempts.

    Returns:
        Shape (batches, parameters). Episodes that fill no batch are left out.

    Raises:
        UserError: the strategy gives another number of advantages than there are turns, or one that is not finite.
    """
    size = groups * group_size
    batches = len(episodes.trajectories) // size
    used = episodes.trajectories[: batches * size]
    regroup(used, group_size)
    advantages = [credit(used[start : start + size]) for start in range(0, len(used), size)]
    flat = _per_turn(credit, list(chain.from_iterable(advantages)), episodes)
    turns = slice(0, len(flat))
    episode, row, action = episodes.episode[turns], episodes.row[turns], episodes.action[turns]
    weights = flat / _divisors(episode, size, batches, loss)
    rows, actions = mdp.policy.shape
    place = ((episode // size) * rows + row) * actions + action
    chosen = np.bincount(place, weights, batches * rows * actions).reshape(batches, rows, actions)
    # d log pi(a) / d logit_k is 1 where k is a, less pi(k)
    scores = chosen - chosen.sum(axis=2, keepdims=True) * mdp.policy
    return scores[:, :, :-1].reshape(batches, -1)


def _per_turn(credit: Credit, advantages: Sequence[Sequence[Advantage]], episodes: Episodes) -> np.ndarray:
    """One advantage per turn; of a list with one per token, the first, which is the action's: no other has a choice."""
    name = type(credit).__name__
    for trajectory, turns in zip(episodes.trajectories, advantages, strict=False):
        if len(turns) != len(trajectory.turns):
            raise UserError(f"{name} gave {len(turns)} advantages for an episode of {len(trajectory.turns)} turns.")
    values = chain.from_iterable(advantages)
    flat = np.array([value if isinstance(value, float | int) else value[0] for value in values], dtype=float)
    if not np.isfinite(flat).all():
        raise UserError(f"{name} gave an advantage that is not a finite number: {flat[~np.isfinite(flat)][0]}.")
    return flat


def _divisors(episode: np.ndarray, size: int, batches: int, loss: Loss) -> np.ndarray | float:
    """What each turn's contribution to its batch is divided by."""
    if loss == "dr_grpo":
        return float(size)
    length = len(episode) / (batches * size)
    if loss == "dapo":
        return np.bincount(episode // size)[episode // size] / length
    return size * np.bincount(episode)[episode] / length
