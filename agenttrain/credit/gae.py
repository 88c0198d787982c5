"""Trajectories -> advantages: GAE (arXiv 1506.02438) with a learned critic, over tokens, turns, or both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agenttrain.credit.groups import PerTurn, added, blameless, gae, whitened
from agenttrain.errors import UserError
from agenttrain.ranges import Share
from agenttrain.types import FAILED_BY_US, Trajectory

PerToken = list[list[list[float]]]
"""One number for each sampled token of each turn of each trajectory."""


@dataclass(frozen=True)
class Gae:
    """What a turn or token earned more than the critic expected, summed over what follows with weight (gamma lam)^n.

    - `turn` (Turn-PPO, arXiv 2512.17008): a turn is one action, with V before its first token, and one advantage.
    - `token` (PPO as for single answers, arXiv 1707.06347): time runs over sampled tokens, those of the environment are
      cut out (Agent-R1's action mask, arXiv 2511.14460), a turn's reward stands on its last token. gamma < 1 discounts
      by tokens, so that long turns cost.
    - `bilevel` (RAGEN, arXiv 2504.20073): first over turns, with V at the last token of each, then within each turn
      from the turn's advantage back to its first token. The published code takes "reward != 0" for a turn's end, so
      that turns without a reward merge; here turns are what was played. The authors have one lambda: set both alike.

    The values are the critic's of `algo=ppo` (`Action.values`). With `whiten` the batch's advantages have mean 0 and
    deviation 1, over turns or tokens.
    """

    level: Literal["turn", "token", "bilevel"] = "turn"
    gamma: Share = 1.0
    lam: Share = 1.0
    gamma_turn: Share = 0.99
    lam_turn: Share = 0.9
    whiten: bool = True

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn | PerToken:
        """
        Raises:
            UserError: a trajectory has no values.
        """
        if self.level == "turn":
            found = [self._turns(trajectory) for trajectory in batch]
            return whitened(batch, found) if self.whiten else blameless(batch, found)
        tokens = [self._tokens(trajectory) for trajectory in batch]
        flat = [_flat(rows) for rows in tokens]
        flat = whitened(batch, flat) if self.whiten else blameless(batch, flat)
        return [_like(rows, row) for rows, row in zip(tokens, flat, strict=True)]

    def targets(self, batch: Sequence[Trajectory]) -> PerToken:
        """What the critic should have said before each sampled token: its value and the advantage, not whitened.

        nan where nothing is to be learned: all but a turn's first token with `level=turn`, and attempts that we failed.
        """
        found: PerToken = []
        for trajectory in batch:
            values = _values(trajectory)
            if trajectory.stop in FAILED_BY_US:
                found.append([[math.nan] * len(row) for row in values])
            elif self.level == "turn":
                firsts = [row[0] + a for row, a in zip(values, self._turns(trajectory), strict=True)]
                found.append([[first] + [math.nan] * (len(row) - 1) for first, row in zip(firsts, values, strict=True)])
            else:
                found.append(added(values, self._tokens(trajectory)))
        return found

    def _turns(self, trajectory: Trajectory) -> list[float]:
        firsts = [row[0] for row in _values(trajectory)]
        return gae(trajectory.turn_rewards, firsts, self.gamma_turn, self.lam_turn)

    def _tokens(self, trajectory: Trajectory) -> list[list[float]]:
        values, rewards = _values(trajectory), trajectory.turn_rewards
        if self.level == "token":
            paid = [[0.0] * (len(row) - 1) + [reward] for row, reward in zip(values, rewards, strict=True)]
            return _like(values, gae(_flat(paid), _flat(values), self.gamma, self.lam))
        ends = [row[-1] for row in values]
        turns = gae(rewards, ends, self.gamma_turn, self.lam_turn)
        # The target of a turn's end is paid there, so that GAE within the turn begins with the turn's advantage.
        return [
            gae([0.0] * (len(row) - 1) + [turn + row[-1]], row, self.gamma, self.lam)
            for row, turn in zip(values, turns, strict=True)
        ]


def _values(trajectory: Trajectory) -> list[list[float]]:
    values = [turn.action.values for turn in trajectory.turns]
    if not all(values):
        if trajectory.stop in FAILED_BY_US:
            return [row or [0.0] for row in values]
        raise UserError("credit=gae needs a critic's values, which algo=ppo has. Take algo=ppo, or another credit=.")
    return values


def _flat(rows: Sequence[Sequence[float]]) -> list[float]:
    return [value for row in rows for value in row]


def _like(rows: Sequence[Sequence[float]], flat: Sequence[float]) -> list[list[float]]:
    """A flat row in the shape of `rows`."""
    numbers = iter(flat)
    return [[next(numbers) for _ in row] for row in rows]
