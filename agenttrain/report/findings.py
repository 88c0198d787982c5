"""Rows of metrics.jsonl -> what is wrong with a run, and what to do about it.

Each rule is a pure function of the rows. The bounds are ours, chosen to stay silent on a run that learns; they are told
with what was seen, for a reader to judge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Row = Mapping[str, float | None]
"""Figures of one step; null where one was not finite."""

HELDOUT = ("heldout_success", "heldout_tasks")
RECENT = 5
"""Steps that must agree before a rule speaks."""


@dataclass(frozen=True)
class Finding:
    """One thing that a person should know of a run."""

    figure: str
    """Name of the figure that shows it."""
    seen: str
    advice: str


def findings(rows: Sequence[Row]) -> list[Finding]:
    """What the rules find, the gravest first."""
    return [found for rule in RULES if (found := rule(rows)) is not None]


def not_finite(rows: Sequence[Row]) -> Finding | None:
    """A loss that is no number."""
    lost = sum("loss" in row and row["loss"] is None for row in rows)
    if not lost:
        return None
    return Finding(
        "loss",
        f"The loss was no finite number in {_steps(lost)}.",
        "Lower algo.learning_rate, and try algo.bf16=false. Weights trained after such a step are not to be trusted.",
    )


def nothing_learned(rows: Sequence[Row]) -> Finding | None:
    """A gradient of 0. (A loss near 0 is no fault: that of the first update on a step's own episodes is.)"""
    last = _values(rows, "grad_norm")[-RECENT:]
    if len(last) < RECENT or max(last) > 1e-8:
        return None
    return Finding(
        "grad_norm",
        f"The gradient was 0 in the last {RECENT} steps: nothing was learned.",
        "See which it is: groups without signal (groups_without_variance), or tokens that carry no loss (inspect).",
    )


def failed_around(rows: Sequence[Row]) -> Finding | None:
    """Episodes that environment or infrastructure failed, one in twenty or more."""
    failed, episodes = _sum(rows, "failed_by_us"), _sum(rows, "episodes")
    if not episodes or failed < 0.05 * episodes:
        return None
    return Finding(
        "failed_by_us",
        f"{failed:.0f} of {episodes:.0f} episodes failed around the agent. They are in no figure and teach nothing.",
        "Their errors stand in the episode browser (outcome: left out). Mend the environment or the endpoint.",
    )


def no_signal(rows: Sequence[Row]) -> Finding | None:
    """Four groups in five, whose attempts all scored the same."""
    share = _mean(_values(rows, "groups_without_variance")[-RECENT:])
    if len(rows) < RECENT or not share >= 0.8 or saturated(rows):
        return None
    return Finding(
        "groups_without_variance",
        f"{share:.0%} of the groups of the last {RECENT} steps scored the same in every attempt.",
        "Take easier or harder tasks, a larger algo.group_size, or a reward that tells attempts apart.",
    )


def saturated(rows: Sequence[Row]) -> Finding | None:
    """Nothing left to win."""
    success = _mean(_values(rows, "success")[-RECENT:])
    if len(rows) < RECENT or not success >= 0.98:
        return None
    return Finding(
        "success",
        f"{success:.1%} of the episodes of the last {RECENT} steps succeeded: these tasks have little left to teach.",
        "Stop here, or go on with harder tasks.",
    )


def entropy_collapse(rows: Sequence[Row]) -> Finding | None:
    """A policy that stopped trying before it succeeded."""
    first, last = _ends(_values(rows, "entropy"))
    if not (last < 0.2 * first and last < 0.1) or not _mean(_values(rows, "success")[-RECENT:]) < 0.9:
        return None
    return Finding(
        "entropy",
        f"Entropy fell from {first:.3f} to {last:.3f} nats per token, with success below 90 %.",
        "Lower algo.learning_rate, or set algo.entropy_bonus or algo.epsilon_high=0.28 (docs/exploration.md).",
    )


def invalid_rising(rows: Sequence[Row]) -> Finding | None:
    """A policy that unlearns how to call."""
    first, last = _ends(_values(rows, "invalid_calls"))
    if not (last > first + 0.05 and last > 1.5 * first):
        return None
    return Finding(
        "invalid_calls",
        f"Invalid calls rose from {first:.1%} to {last:.1%} of the turns.",
        "Add reward=[...,format], lower algo.learning_rate, or go back to an earlier checkpoint.",
    )


def overfitting(rows: Sequence[Row]) -> Finding | None:
    """What was learned is worth less elsewhere: held-out success below its best by two standard errors, while success
    in training is above what it was then."""
    at = [n for n, row in enumerate(rows) if row.get("heldout_success") is not None and row.get("heldout_tasks")]
    if len(at) < 2:
        return None
    success, tasks = (dict(zip(at, _values([rows[n] for n in at], key), strict=True)) for key in HELDOUT)
    top, end = max(at, key=lambda n: success[n]), at[-1]
    spread = math.sqrt(sum(success[n] * (1 - success[n]) / tasks[n] for n in (top, end)))
    then, now = (_mean(_values(rows, "success")[start:][:RECENT]) for start in (top, -RECENT))
    if not success[top] - success[end] > 2 * spread or not now > then:
        return None
    return Finding(
        "heldout_success",
        f"Held-out success fell from {success[top]:.1%} to {success[end]:.1%}, while that in training rose.",
        "Take an earlier checkpoint, and train on more tasks (task.n), or for fewer steps.",
    )


def truncated(rows: Sequence[Row]) -> Finding | None:
    """Episodes that end because a budget does."""
    share = _mean(_values(rows, "truncated")[-RECENT:])
    if not share >= 0.3:
        return None
    return Finding(
        "truncated",
        f"{share:.0%} of the episodes of the last {RECENT} steps were cut by a limit on turns or tokens.",
        "Raise rollout.max_turns or rollout.max_tokens if the episodes look as if they were on their way.",
    )


def waiting(rows: Sequence[Row]) -> Finding | None:
    """Time that goes to environments."""
    env, policy = _sum(rows, "env_seconds"), _sum(rows, "policy_seconds")
    if not env > 2 * policy or env < 10:
        return None
    return Finding(
        "env_seconds",
        f"Episodes waited {env / (env + policy):.0%} of their time for the environment.",
        "Raise rollout.concurrency, so that other episodes are sampled meanwhile, or make the environment faster.",
    )


Rule = Callable[[Sequence[Row]], Finding | None]
RULES: tuple[Rule, ...] = (
    not_finite,
    nothing_learned,
    failed_around,
    no_signal,
    entropy_collapse,
    invalid_rising,
    overfitting,
    truncated,
    waiting,
    saturated,
)


def _values(rows: Sequence[Row], name: str) -> list[float]:
    return [value for row in rows if (value := row.get(name)) is not None]


def _sum(rows: Sequence[Row], name: str) -> float:
    return math.fsum(_values(rows, name))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Means of the first and the last `RECENT`; nan where these would overlap."""
    if len(values) < 2 * RECENT:
        return math.nan, math.nan
    return _mean(values[:RECENT]), _mean(values[-RECENT:])


def _steps(count: int) -> str:
    return f"{count} step{'s' if count > 1 else ''}"
