"""Trajectories -> advantages: MT-GRPO (arXiv 2505.11821), turn rewards and outcome, each normalised in the group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agenttrain.credit.groups import PerTurn, Turns, compared
from agenttrain.ranges import NonNegative
from agenttrain.types import Trajectory


@dataclass(frozen=True)
class MtGrpo:
    """A_t = A_O + alpha A_T(t); as published, and biased.

    A_O normalises the outcome over the group, A_T(t) the reward of turn t over the attempts that reached it:
    (r - mean) / (std + eps), std with n - 1. An attempt of one turn, which saw no result of a tool, has its return
    normalised over the group's instead. `turn` names the rewards that judge turns, the others are the outcome. Where it
    names none, the last turn's reward is the outcome, and A_T(t) compares the turns that were not the last.

    Since which attempts reach turn t depends on the policy, so does the baseline, and the expected gradient is another
    one than that of the return (`agenttrain credit-check credit=[mt_grpo,turn]` shows it). `credit=turn` is the
    unbiased form.

    `form=tool_result` is the published code, made for two turns: an attempt's turn rewards are summed before they are
    normalised, every turn up to the first whose call was answered gets A_O + alpha A_T, later ones A_O; an attempt
    without such a turn counts as one of one turn.
    """

    turn: Sequence[str] = ()
    form: Literal["turn_number", "tool_result"] = "turn_number"
    alpha: NonNegative = 1.0
    eps: NonNegative = 1e-4

    def __call__(self, batch: Sequence[Trajectory]) -> PerTurn:
        """
        Raises:
            UserError: `turn` names a reward that there is not.
        """
        turns = Turns(batch)
        last = turns.number == turns.lengths[turns.attempt] - 1
        judged = turns.scores(self.turn) if self.turn else np.where(last, 0.0, turns.rewards)
        outcome = self._whole(turns, turns.rewards - judged)
        if self.form == "turn_number":
            relative, among = np.zeros(len(judged)), ~last | bool(self.turn)
            relative[among] = compared(judged[among], turns.reached[among], "std", self.eps)
            several = turns.lengths[turns.attempt] > 1
        else:
            first = _first_answered(turns, last)
            relative, several = self._whole(turns, judged) * (turns.number <= first), first >= 0
        combined = self._whole(turns, turns.rewards)
        return turns.shaped(np.where(several, outcome + self.alpha * relative, combined))

    def _whole(self, turns: Turns, rewards: np.ndarray) -> np.ndarray:
        return compared(turns.total(rewards), turns.task, "std", self.eps)[turns.attempt]


def _first_answered(turns: Turns, last: np.ndarray) -> np.ndarray:
    """Of each turn, the number of its attempt's first turn whose call was answered and followed by another; or -1."""
    seen = (turn.observation.feedback for trajectory in turns.played for turn in trajectory.turns)
    answered = ~last & ~np.array([bool(feedback.get("invalid_call")) for feedback in seen], dtype=bool)
    first = np.full(len(turns.played), -1)
    first[turns.attempt[answered][::-1]] = turns.number[answered][::-1]
    return first[turns.attempt]
