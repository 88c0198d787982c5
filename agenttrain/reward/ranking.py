"""Trajectories of a group -> one score per turn of each: a language model's ranking of them, by a rubric in words."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

from agenttrain.errors import UserError
from agenttrain.ranges import Count, Whole
from agenttrain.reward.verdicts import Verdicts
from agenttrain.transcript import cut, told
from agenttrain.types import Policy, Trajectory

FORM = (
    "It is {count} attempts at one task, which may stand before them. Such a line stands before and after each. The "
    "first line after it is ours and says the attempt's number; a number anywhere else is part of an attempt. Rank the "
    'attempts. Reply with one JSON object and nothing else: {{"reason": "one sentence", "ranking": [the numbers 1 to '
    "{count}, the best first; equally good ones together, as a list within the list]}}."
)


@dataclass
class Ranking:
    """On the last turn the share of the group's other attempts that stand below this one, a tie as a half; 0 elsewhere.

    The attempts are shown twice, in an order drawn by `seed` and reversed, and the mean of both counts: judges prefer
    places (arXiv 2306.05685). `meta["disagreement"]["ranking"]` is the share of the others that the two set on opposite
    sides; `meta["verdicts"]` has places and reasons. Equal episodes are shown once, and tie. What a text says to the
    judge is fenced off, as for `agenttrain.reward.judge.Judge`.

    Raises:
        UserError: asked of one episode alone; the policy has to be given a model; the budget of calls is spent.
        InfraError: the server failed, or did not rank every attempt once; the group is marked `reward_error`.
    """

    by: Policy
    rubric: str
    weight: float = 1.0
    seed: Whole = 0
    cache: Path | None = None
    calls: Count | None = None
    ask_again: Whole = 2
    max_chars: Count = 60000
    waits: ClassVar = True
    _verdicts: Verdicts = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._verdicts = Verdicts(self.by, self.cache, self.calls, self.ask_again, self.max_chars)

    def prepare(self) -> None:
        """Read the cache."""
        self._verdicts.prepare()

    def __call__(self, trajectory: Trajectory) -> list[float]:
        raise UserError(
            "reward=ranking compares attempts at a task, and here episodes are scored one at a time: reward=judge "
            "marks each for itself."
        )

    def compare(self, group: Sequence[Trajectory]) -> list[list[float]]:
        asked, texts = _told(group)
        copies = Counter(texts)
        # By text, not by attempt: the same episodes are shown in the same order, whoever ended first.
        shown = sorted(copies)
        random.Random(f"ranking/{self.seed}/{group[0].task.id}").shuffle(shown)
        verdicts = [self._ranked(order, asked, group[0].task.id) for order in (shown, shown[::-1])]
        places = [found for found, _ in verdicts]
        scores = {text: fmean(_share_below(text, found, copies) for found in places) for text in shown}
        for trajectory, text in zip(group, texts, strict=True):
            trajectory.meta.setdefault("verdicts", {})["ranking"] = {
                "score": scores[text],
                "places": [found[text] for found in places],
                "reasons": [reason for _, reason in verdicts],
            }
            if len(shown) > 1:
                trajectory.meta.setdefault("disagreement", {})["ranking"] = _opposed(text, *places)
        return [[0.0] * (len(t.turns) - 1) + [scores[text]] for t, text in zip(group, texts, strict=True)]

    def _ranked(self, shown: Sequence[str], asked: Sequence[str], task: str) -> tuple[dict[str, int], str]:
        """Text -> its place, from 1; equally good ones share one. And why."""
        if len(shown) == 1:
            return {shown[0]: 1}, "all are the same"
        share = self.max_chars // (len(asked) + len(shown))
        texts = [f"[the task]\n{cut(text, share)}" for text in asked]
        texts += [f"[attempt {number}]\n{cut(text, share)}" for number, text in enumerate(shown, start=1)]
        order = f"{FORM.format(count=len(shown))}\n{self.rubric}"
        places, reason = self._verdicts.ask_about(texts, order, task, lambda said: _read(said, len(shown)))
        return dict(zip(shown, places, strict=True)), reason


def _told(group: Sequence[Trajectory]) -> tuple[list[str], list[str]]:
    """What opens all of the episodes, if it is the same; and each episode, without it."""
    openings = {"\n".join(told(replace(trajectory, turns=[]))) for trajectory in group}
    if len(openings) > 1:
        return [], ["\n".join(told(trajectory)) for trajectory in group]
    return [*openings], ["\n".join(told(replace(trajectory, messages=[]))) for trajectory in group]


def _read(verdict: dict[str, Any], count: int) -> tuple[list[int], str]:
    tiers = [tier if isinstance(tier, list) else [tier] for tier in verdict["ranking"]]
    named = [number for tier in tiers for number in tier]
    if any(type(number) is not int for number in named) or sorted(named) != [*range(1, count + 1)]:
        missing = ", ".join(str(number) for number in range(1, count + 1) if number not in named)
        left_out = f"; it leaves out {missing}" if missing else ""
        raise ValueError(f"ranking must name each number from 1 to {count} once{left_out}")
    places = {number: place for place, tier in enumerate(tiers, start=1) for number in tier}
    return [places[number] for number in range(1, count + 1)], str(verdict.get("reason") or "")


def _share_below(text: str, places: Mapping[str, int], copies: Mapping[str, int]) -> float:
    """Of the other attempts, those that stand below `text`; those that stand beside it count half."""
    below = sum(count for other, count in copies.items() if places[other] > places[text])
    beside = sum(count for other, count in copies.items() if places[other] == places[text]) - 1
    return (below + beside / 2) / (sum(copies.values()) - 1)


def _opposed(text: str, one: Mapping[str, int], two: Mapping[str, int]) -> float:
    """Of the other texts, those that `one` has below `text` and `two` above it, or the other way round."""
    return fmean((one[other] - one[text]) * (two[other] - two[text]) < 0 for other in one if other != text)
