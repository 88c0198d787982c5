"""Sources of reward functions, stored trajectories -> a verdict on each, before any of them trains (CARD, 2410.14660).

Checked, run on every trajectory, then judged by Trajectory Preference Evaluation.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from agenttrain.card.function import RewardFunction
from agenttrain.card.preference import Rule, Statistic, pattern, share_right, stopping_gain, told_apart, value
from agenttrain.card.source import fault
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.types import Trajectory

STOPPING = 0.1
"""From this share of a success on, what is gained by ending an episode early counts against a function."""


@dataclass
class Verdict:
    """What was found of one candidate."""

    name: str
    sound: bool
    """It may be run, and gave every trajectory its scores."""
    share: float | None
    """Of what the rule looks at, what it judges right; None where it is not sound or nothing can be told."""
    accepted: bool
    why: str
    apart: float | None = None
    """Share of the pairs of failures that it values differently: what it could teach before the first success."""
    stopping: float | None = None
    """What a failure gains by ending at its best turn, as a share of what a success is worth."""
    parent: str | None = None
    """The version that a coder had written before, and was told about."""
    scores: list[list[float]] = field(default_factory=list, repr=False)
    """What it gave each trajectory's turns, where it is sound."""

    @property
    def merit(self) -> tuple[float, bool, float]:
        """Of accepted ones the greatest is taken: the share, then that little is gained by stopping, then `apart`."""
        return self.share or 0.0, (self.stopping or 0.0) <= STOPPING, self.apart or 0.0

    def row(self) -> dict[str, Any]:
        """Of a table or a file: all but the scores."""
        return {key: value for key, value in asdict(self).items() if key != "scores"}


@dataclass
class Judge:
    """
    Args:
        trajectories: labelled by their success; each has turns, and fits the sandbox.
        cold_start: open accepts what is sound where all of them succeed or all fail; closed refuses it.
        seconds: for one function and one trajectory.
    """

    trajectories: Sequence[Trajectory]
    statistic: Statistic
    rule: Rule
    threshold: float
    cold_start: Literal["open", "closed"]
    sandbox: Sandbox
    seconds: float

    def __call__(self, name: str, source: str) -> Verdict:
        """
        Raises:
            InfraError: the sandbox has failed, which says nothing about the function.
        """
        if wrong := fault(source):
            return Verdict(name, False, None, False, wrong)
        function = RewardFunction(source, self.sandbox, self.seconds)
        scores = []
        for number, trajectory in enumerate(self.trajectories, start=1):
            try:
                scores.append(function(trajectory))
            except ValueError as error:
                return Verdict(name, False, None, False, f"{error} (trajectory {number})")
        verdict = self._preference(name, [value(row, self.statistic) for row in scores])
        won = {
            success: [row for row, t in zip(scores, self.trajectories, strict=True) if t.success is success]
            for success in (True, False)
        }
        stopping = stopping_gain(won[True], won[False])
        if stopping is not None and stopping > STOPPING:
            told = f"; who stops at the best turn of a failure gains {stopping:.1%} of what a success is worth"
            verdict = replace(verdict, why=verdict.why + told)
        return replace(verdict, scores=scores, stopping=stopping)

    def _preference(self, name: str, values: Sequence[float]) -> Verdict:
        won = [trajectory.success for trajectory in self.trajectories]
        good = [value for value, success in zip(values, won, strict=True) if success]
        bad = [value for value, success in zip(values, won, strict=True) if not success]
        share = share_right(good, bad, self.rule)
        if share is None:
            only = "successes" if good else "failures"
            return Verdict(name, True, None, self.cold_start == "open", f"undecided: there are only {only}")
        what = "successes stand above every failure" if self.rule == "above_best_failure" else "pairs are ranked right"
        why = f"{share:.1%} of {what}, {self.threshold:.1%} are asked for"
        if share >= self.threshold:
            return Verdict(name, True, share, True, why, told_apart(bad))
        turns = [len(trajectory.turns) for trajectory in self.trajectories]
        return Verdict(name, True, share, False, f"{why}: {pattern(values, turns, won)}", told_apart(bad))


def balanced(trajectories: Sequence[Trajectory], most: int | None, seed: int) -> list[Trajectory]:
    """At most `most` of them, drawn by `seed`, in their order: as many successes as failures as far as there are."""
    if most is None or len(trajectories) <= most:
        return list(trajectories)
    order = random.Random(seed).sample(range(len(trajectories)), len(trajectories))
    good = [index for index in order if trajectories[index].success]
    bad = [index for index in order if not trajectories[index].success]
    half = min(len(good), max((most + 1) // 2, most - len(bad)))
    return [trajectories[index] for index in sorted(good[:half] + bad[: most - half])]
