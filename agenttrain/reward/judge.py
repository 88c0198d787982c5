"""Trajectory -> one score per turn: a language model's mark for the whole episode, by a rubric in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from agenttrain.ranges import Count, Positive, Whole
from agenttrain.reward.verdicts import Verdicts
from agenttrain.types import Policy, Trajectory

FORM = (
    'Reply with one JSON object and nothing else: {{"reason": "one sentence", "score": a number from 0 to {most:g}}}.'
)


@dataclass
class Judge:
    """On the last turn the mark, as a share of the highest; every other turn gets 0. `meta["verdicts"]` has the reason.

    The rubric is absolute: the model sees one episode and not its group. What a text of the episode says to the judge
    is fenced off, and only the judge's own reply is read (LLM judges: arXiv 2306.05685, with their known biases).

    Raises:
        UserError: the policy has to be given a model; the budget of calls is spent.
        InfraError: the server failed, or gave no mark; the episode is marked `reward_error`.
    """

    by: Policy
    rubric: str
    weight: float = 1.0
    most: Positive = 10.0
    cache: Path | None = None
    calls: Count | None = None
    ask_again: Whole = 2
    max_chars: Count = 20000
    waits: ClassVar = True
    _verdicts: Verdicts = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._verdicts = Verdicts(self.by, self.cache, self.calls, self.ask_again, self.max_chars)

    def prepare(self) -> None:
        """Read the cache."""
        self._verdicts.prepare()

    def __call__(self, trajectory: Trajectory) -> list[float]:
        if not trajectory.turns:
            return []
        order = f"{self.rubric}\n{FORM.format(most=self.most)}"
        mark, reason = self._verdicts.ask(order, trajectory, self._read)
        trajectory.meta.setdefault("verdicts", {})["judge"] = {"score": mark, "reason": reason}
        return [0.0] * (len(trajectory.turns) - 1) + [mark / self.most]

    def _read(self, verdict: dict[str, Any]) -> tuple[float, str]:
        mark = verdict["score"]
        if isinstance(mark, bool) or not isinstance(mark, int | float) or not math.isfinite(mark):
            raise ValueError("score is no number")
        if not 0 <= mark <= self.most:
            raise ValueError(f"score is not from 0 to {self.most:g}")
        return float(mark), str(verdict.get("reason") or "")
