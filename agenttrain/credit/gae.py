"""Trajectories -> advantages: GAE (arXiv 1506.02438) with a learned critic, over tokens, turns, or both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np

from agenttrain.credit.groups import Turns, gae, whitened
from agenttrain.errors import UserError
from agenttrain.ranges import Share
from agenttrain.types import FAILED_BY_US, Advantage, Trajectory

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

    The values are those of `Action.values`, which `algo=ppo` learns; `credit-check` has exact ones. With `whiten` the
    batch's advantages have mean 0 and deviation 1, over turns or tokens.
    """

    level: Literal["turn", "token", "bilevel"] = "turn"
    gamma: Share = 1.0
    lam: Share = 1.0
    gamma_turn: Share = 0.99
    lam_turn: Share = 0.9
    whiten: bool = True

    def __call__(self, batch: Sequence[Trajectory]) -> Sequence[Sequence[Advantage]]:
        """
        Raises:
            UserError: a turn that sampled tokens has no values.
        """
        turns = Turns(batch)
        values = _Values(turns)
        advantages = self._estimates(turns, values)
        if self.whiten:
            advantages = whitened(advantages)
        return turns.shaped(advantages) if self.level == "turn" else turns.rows(values.by_turn(advantages), 0.0)

    def targets(self, batch: Sequence[Trajectory]) -> PerToken:
        """What the critic should have said before each sampled token: its value and the advantage, not whitened.

        nan where nothing is to be learned: all but a turn's first token with `level=turn`, and attempts that we failed.
        """
        turns = Turns(batch)
        values = _Values(turns)
        learned = values.first if self.level == "turn" else slice(None)
        targets = np.full(len(values.flat), np.nan)
        targets[learned] = values.flat[learned] + self._estimates(turns, values)
        found = turns.rows(values.by_turn(targets), [])
        for trajectory, rows in zip(batch, found, strict=True):
            counts = [len(turn.action.values) for turn in trajectory.turns]
            failed = trajectory.stop in FAILED_BY_US
            rows[:] = [[math.nan] * n if failed else row[:n] for n, row in zip(counts, rows, strict=True)]
        return found

    def _estimates(self, turns: Turns, values: _Values) -> np.ndarray:
        """Of each turn with `level=turn`, else of each token."""
        if self.level == "turn":
            return gae(turns.rewards, values.flat[values.first], turns.lengths, self.gamma_turn, self.lam_turn)
        paid, lengths = np.zeros(len(values.flat)), turns.total(values.tokens).astype(np.int64)
        paid[values.last] = turns.rewards
        if self.level == "bilevel":
            # The target of a turn's end is paid there, so that GAE within the turn begins with the turn's advantage.
            ends, lengths = values.flat[values.last], values.tokens
            paid[values.last] = ends + gae(turns.rewards, ends, turns.lengths, self.gamma_turn, self.lam_turn)
        return gae(paid, values.flat, lengths, self.gamma, self.lam)


class _Values:
    """A critic's values before the sampled tokens of all turns, one after the other."""

    def __init__(self, turns: Turns) -> None:
        actions = [turn.action for trajectory in turns.played for turn in trajectory.turns]
        lacking = [bool(action.sampled) and not action.values for action in actions]
        if any(lacking) or (actions and not any(action.values for action in actions)):
            raise UserError("This credit needs a critic's values: take algo=ppo, which trains one.")
        # Where the context was full, nothing was sampled: the state has nothing more to promise.
        rows = [action.values or [0.0] for action in actions]
        self.flat = np.array(list(chain.from_iterable(rows)), dtype=float)
        if not np.isfinite(self.flat).all():
            raise UserError("credit=gae: a value of the critic is not a finite number. Lower its learning rate.")
        self.tokens = np.array([len(row) for row in rows], dtype=np.int64)
        self.last = np.cumsum(self.tokens) - 1
        self.first = self.last - self.tokens + 1

    def by_turn(self, numbers: np.ndarray) -> list[list[float]]:
        """One number per token -> a list for each turn."""
        flat, ends = numbers.tolist(), (self.last + 1).tolist()
        return [flat[start:end] for start, end in zip([0, *ends], ends, strict=False)]
