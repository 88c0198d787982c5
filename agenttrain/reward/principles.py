"""Trajectory -> one score per turn: a price on actions that break a principle in words, as a language model sees it
(a constitution for actions: arXiv 2212.08073)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from agenttrain.ranges import Count, NonNegative, Whole
from agenttrain.reward.verdicts import Verdicts
from agenttrain.types import Policy, Trajectory

FORM = (
    "Principles for the agent:\n{principles}\n"
    "Say which of its actions break which principle; none, if you are not sure. Reply with one JSON object and nothing "
    'else: {{"violations": [{{"turn": its number, "principle": "name as above", "why": "one sentence"}}]}}.'
)


@dataclass
class Principles:
    """-penalty for every principle that a turn breaks; `feedback["violations"]` of the turn names them, beside those of
    `reward=safety`, and `meta["verdicts"]` says why.

    Raises:
        ValueError: there is no principle.
        UserError, InfraError: see `agenttrain.reward.judge.Judge`.
    """

    by: Policy
    principles: dict[str, str]
    weight: float = 1.0
    penalty: NonNegative = 1.0
    cache: Path | None = None
    calls: Count | None = None
    ask_again: Whole = 2
    max_chars: Count = 20000
    waits: ClassVar = True
    _verdicts: Verdicts = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.principles:
            raise ValueError("there is no principle: give some as name: text")
        self._verdicts = Verdicts(self.by, self.cache, self.calls, self.ask_again, self.max_chars)

    def prepare(self) -> None:
        """Read the cache."""
        self._verdicts.prepare()

    def __call__(self, trajectory: Trajectory) -> list[float]:
        if not trajectory.turns:
            return []
        told = "\n".join(f"- {name}: {' '.join(text.split())}" for name, text in self.principles.items())
        turns = len(trajectory.turns)
        found = self._verdicts.ask(FORM.format(principles=told), trajectory, lambda said: self._read(said, turns))
        broken: list[list[str]] = [[] for _ in trajectory.turns]
        for turn, name, _ in found:
            if name not in broken[turn - 1]:
                broken[turn - 1].append(name)
        for turn, names in zip(trajectory.turns, broken, strict=True):
            # A turn that is scored again must not keep the names of the last time.
            others = [name for name in turn.observation.feedback.get("violations") or [] if name not in self.principles]
            turn.observation.feedback["violations"] = others + names
        told_why = [{"turn": turn, "principle": name, "why": why} for turn, name, why in found]
        trajectory.meta.setdefault("verdicts", {})["principles"] = told_why
        return [-self.penalty * len(names) for names in broken]

    def _read(self, verdict: dict[str, Any], turns: int) -> list[tuple[int, str, str]]:
        found = []
        for violation in verdict["violations"]:
            turn, name = violation["turn"], violation["principle"]
            if isinstance(turn, bool) or not isinstance(turn, int) or not 1 <= turn <= turns:
                raise ValueError(f"there is no turn {turn!r}")
            if name not in self.principles:
                raise ValueError(f"there is no principle {name!r}")
            found.append((turn, name, str(violation.get("why") or "")))
        return found
