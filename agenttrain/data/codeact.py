"""Trajectory files of env=codeact -> Example: the paper's choice among solved episodes (CodeAct, arXiv 2402.01030).

The choice is that of appendix G.2. Its third heuristic drops episodes in which the agent does not respond; here every
turn is an action by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agenttrain.data.trajectories import Trajectories
from agenttrain.types import Trajectory, Turn


@dataclass(kw_only=True)
class Codeact(Trajectories):
    """Solved episodes in which code did run, also where it failed at first; every turn of them trains.

    Dropped, and counted by reason:

    - `answered at once`: a single turn.
    - `no action in form`: every turn before the last is malformed.
    - `no run without error`: every run before the last turn ended in an error (the paper: a model would learn to run
      faulty code and to answer all the same).
    - `no error to correct`: only with `corrected`.

    Args:
        corrected: keep only episodes with an error, a malformed turn or a wrong answer before the right one.
    """

    skip: Sequence[Literal["invalid_call", "tool_error", "length"]] = ()
    corrected: bool = False

    def refusal(self, trajectory: Trajectory) -> str | None:
        """See `Trajectories.refusal`; an episode that failed is left to `success`."""
        if (reason := super().refusal(trajectory)) or not trajectory.success:
            return reason
        before = trajectory.turns[:-1]
        if not before:
            return "answered at once"
        if all(turn.observation.feedback.get("invalid_call") for turn in before):
            return "no action in form"
        if not any(_ran(turn) for turn in before):
            return "no run without error"
        return "no error to correct" if self.corrected and all(_ran(turn) for turn in before) else None


def _ran(turn: Turn) -> bool:
    """An execution without error; neither an answer nor a malformed action."""
    return turn.observation.feedback.get("status") == "ok"
