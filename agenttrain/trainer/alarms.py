"""A step's figures -> what a person must be told of the run while it goes on, each once. No torch here."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from agenttrain.combine import Terms
from agenttrain.errors import UserError
from agenttrain.trainer.diversity import echo_trap
from agenttrain.types import FAILED_BY_US, Trajectory

NO_SIGNAL = 5
"""Steps in a row in which no episode had an advantage, after which a warning is due."""

GIVE_UP = 3
"""Steps in a row in which no episode could be played, after which a run ends."""

History = Sequence[Mapping[str, float | None]]

_log = logging.getLogger(__name__)


class Alarms:
    """Counts what must not go unseen.

    Args:
        speaks: whether this process is the one that tells.
    """

    def __init__(self, speaks: bool) -> None:
        self.lost_steps = 0
        """Steps in a row, the newest included, in which no episode could be played."""
        self._speaks = speaks
        self._silent_steps = 0
        self._echoes = self._hacked = False

    def signal(self, shown: Mapping[str, float]) -> None:
        """`shown` are the figures of a step."""
        silent = shown["advantage_std"] < 1e-9 and not shown["lost_step"]
        self._silent_steps = self._silent_steps + 1 if silent else 0
        if self._silent_steps == NO_SIGNAL:
            self._tell(
                "No signal: every group scored the same in the last %d steps (success %.2f), so nothing is learned. "
                "Take easier or harder tasks, larger groups, algo.refill, or a reward that tells attempts apart.",
                NO_SIGNAL,
                shown["success"],
            )

    def course(self, history: History, combine: Terms) -> None:
        """`history` has the logged figures of the run so far."""
        if not self._echoes and (seen := echo_trap(history)):
            self._echoes = True
            self._tell(
                "The policy echoes itself: in the last steps %s. It often collapses next. Go back to an earlier "
                "checkpoint with a lower learning rate, algo.epsilon_high=0.28 or algo.entropy_bonus.",
                seen,
            )
        if not self._hacked and (seen := combine.hacked(history)):
            self._hacked = True
            self._tell(
                "Reward hacking: %s. Look at such episodes in trajectories.jsonl, mend the reward, "
                "and go back to an earlier checkpoint.",
                seen,
            )

    def episodes(self, batch: Sequence[Trajectory], step: int) -> None:
        """`batch` are all episodes of step number `step`, from 1.

        Raises:
            UserError: no episode of `GIVE_UP` steps in a row could be played.
        """
        failed = [t.error for t in batch if t.stop == "reward_error"]
        if failed:
            told = "Step %d: %d of %d episodes could not be scored and are masked (%s)."
            self._tell(told, step, len(failed), len(batch), failed[0])
        self.lost_steps = self.lost_steps + 1 if all(t.stop in FAILED_BY_US for t in batch) else 0
        if not self.lost_steps:
            return
        error = batch[0].error
        if self.lost_steps == GIVE_UP:
            raise UserError(
                f"None of the episodes of steps {step - GIVE_UP + 1} to {step} could be played: {error}\n"
                "Mend what failed, then go on from the newest checkpoint with resume=true."
            )
        self._tell("Step %d: none of its %d episodes could be played (%s).", step, len(batch), error)
        self._tell("Nothing is learned from it: no optimizer step, and the learning rate stays.")

    def _tell(self, text: str, *values: object) -> None:
        if self._speaks:
            _log.warning(text, *values)
