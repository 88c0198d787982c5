"""Scores -> what counts of them: gates, vetoes and budgets over the terms of `reward=[...]`.

A term's scores stay as they are; what changes is its weight in a trajectory, so that every reader of
`Trajectory.turn_rewards` sees the same sum, and the file shows both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from agenttrain.errors import UserError, did_you_mean
from agenttrain.ranges import NonNegative, Positive, Share
from agenttrain.types import FAILED_BY_US, GroupReward, Prepared, Reward, Trajectory

VETO = "veto"
"""Name of the term that holds the floor of an episode with a veto."""

WINDOW = 10
"""Steps whose mean gap `alarm` compares with that of the first ones."""


@dataclass
class Terms:
    """How several rewards become one; `conf/combine/terms.yaml` says what each parameter means.

    `multipliers` is the state of the budgets: the weight of each term in `budgets`, which starts at the reward's own
    and rises while its cost (minus its sum of scores) is above the budget: dual ascent on the Lagrangian of a
    constrained problem, as in RCPO (arXiv 1805.11074).
    """

    gates: dict[str, str] = field(default_factory=dict)
    veto: list[str] = field(default_factory=list)
    floor: float = 0.0
    budgets: dict[str, NonNegative] = field(default_factory=dict)
    rate: Positive = 0.1
    most: Positive = 10.0
    watch: list[str] = field(default_factory=list)
    alarm: Share = 0.1
    multipliers: dict[str, float] = field(default_factory=dict, init=False)

    def begin(self, rewards: Mapping[str, Reward]) -> None:
        """Before the first episode: hold the rules against the rewards, set the multipliers to their weights, and let
        the rewards read what they need.

        Raises:
            UserError: a rule names a term that is no reward, one that another rule overrides, or as a measure one that
                only compares; a reward lacks a file.
        """
        known = list(rewards)
        for key, terms in self._named().items():
            for name in terms:
                if name not in known:
                    raise UserError(
                        f"combine.{key} names {name!r}, which is none of reward=[{','.join(known)}]."
                        f"{did_you_mean(name, known)}"
                    )
        for key, terms in (self._named() | {"gates": list(self.gates.values())}).items():
            for name in terms:
                if isinstance(rewards[name], GroupReward):
                    raise UserError(
                        f"combine.{key} takes {name!r} as a measure, which only says which attempt of a group is "
                        "better. It can be a term that a gate opens, or one of the sum."
                    )
        if VETO in known:
            raise UserError(f"A reward may not be called {VETO!r}: that is the term of combine.veto.")
        for one, other in (("budgets", "veto"), ("watch", "budgets"), ("watch", "veto")):
            if both := set(self._named()[one]) & set(self._named()[other]):
                raise UserError(f"{both.pop()!r} is in combine.{one} and in combine.{other}: one of them decides.")
        self.multipliers = {name: rewards[name].weight for name in self.budgets}
        for reward in rewards.values():
            if isinstance(reward, Prepared):
                reward.prepare()

    def weigh(self, trajectory: Trajectory) -> Trajectory:
        """Set the weights of a trajectory that has just been scored; returns it."""
        sums = {name: sum(scores) for name, scores in trajectory.scores.items()}
        weights = trajectory.weights
        weights.update(self.multipliers)
        closed = [term for term, verifier in self.gates.items() if sums.get(verifier, 0.0) <= 0]
        for name in (*self.watch, *closed):
            weights[name] = 0.0
        for name in self.veto:
            turn = next((n for n, value in enumerate(trajectory.scores.get(name, [])) if value < 0), None)
            if turn is not None:
                trajectory.weights = dict.fromkeys(weights, 0.0) | {VETO: 1.0}
                trajectory.scores[VETO] = [self.floor * (n == turn) for n in range(len(trajectory.turns))]
                break
        return trajectory

    def adapt(self, batch: Sequence[Trajectory]) -> dict[str, float]:
        """Once a step, with all of its episodes: the figures of this step, then the multipliers for the next one."""
        played = [t for t in batch if t.stop not in FAILED_BY_US]
        shown = {f"weight/{name}": weight for name, weight in self.multipliers.items()}
        if not played:
            return shown
        for name, budget in self.budgets.items():
            cost = -fmean(sum(t.scores[name]) for t in played)
            self.multipliers[name] = min(max(self.multipliers[name] + self.rate * (cost - budget), 0.0), self.most)
        paid = fmean(sum(t.turn_rewards) > 0 for t in played)
        return shown | {f"gap/{name}": paid - fmean(sum(t.scores[name]) > 0 for t in played) for name in self.watch}

    def hacked(self, steps: Sequence[Mapping[str, float | None]]) -> str | None:
        """What the steps show, if the rewards that train praise ever more episodes that a watched one does not."""
        for name in self.watch:
            gaps = [gap for row in steps if (gap := row.get(f"gap/{name}")) is not None]
            if len(gaps) >= 2 * WINDOW:
                before, now = fmean(gaps[:WINDOW]), fmean(gaps[-WINDOW:])
                if now - before > self.alarm:
                    return (
                        f"the share of episodes that are paid for and that {name!r} does not pass rose from "
                        f"{before:.0%} to {now:.0%}"
                    )
        return None

    def _named(self) -> dict[str, list[str]]:
        """Rule -> the terms that it names."""
        gates = [*self.gates, *self.gates.values()]
        return {"gates": gates, "veto": self.veto, "budgets": list(self.budgets), "watch": self.watch}
