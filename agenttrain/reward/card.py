"""Trajectory -> one score per turn: by a reward function that `agenttrain card` accepted (CARD, arXiv 2410.14660)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from agenttrain.card.function import RewardFunction
from agenttrain.card.source import fault
from agenttrain.errors import UserError
from agenttrain.ranges import Positive
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.types import Trajectory


@dataclass
class Card:
    """What the function `reward` of the file at `path` gives, in the sandbox, `seconds` for a trajectory.

    Raises:
        UserError: when it is prepared: no such file, a source that may not be run, or no walls that hold it.
        ValueError: when it scores: as `RewardFunction`.
    """

    path: str
    weight: float = 1.0
    seconds: Positive = 5.0

    def prepare(self) -> None:
        """Read the function and start the sandbox."""
        self._function.sandbox.start_now()

    def __call__(self, trajectory: Trajectory) -> list[float]:
        return self._function(trajectory)

    @cached_property
    def _function(self) -> RewardFunction:
        try:
            source = Path(self.path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"reward.card.path={self.path} cannot be read: {error}") from None
        if wrong := fault(source):
            raise UserError(f"The reward function {self.path} {wrong}.")
        return RewardFunction(source, Sandbox(), self.seconds)
