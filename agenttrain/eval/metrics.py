"""Trajectories -> figures: what the agent did, with failures that are not its own counted apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any, get_args

from agenttrain.types import FAILED_BY_US, Stop, Trajectory

OWN_STOPS: tuple[str, ...] = tuple(stop for stop in get_args(Stop) if stop not in FAILED_BY_US | {"done"})
"""Ends of an episode that are the agent's own, other than `done`."""


def judged(trajectories: Iterable[Trajectory]) -> list[Trajectory]:
    """Those that say something about the agent: without errors of environment and infrastructure."""
    return [trajectory for trajectory in trajectories if trajectory.stop not in FAILED_BY_US]


def results(trajectories: Iterable[Trajectory]) -> dict[str, list[bool]]:
    """Task id -> success of each judged attempt, in the order of attempts; tasks without any are left out."""
    found: dict[str, list[bool]] = {}
    for trajectory in sorted(judged(trajectories), key=lambda t: (t.task.id, t.attempt)):
        found.setdefault(trajectory.task.id, []).append(trajectory.success)
    return found


def stops(trajectories: Iterable[Trajectory]) -> dict[str, int]:
    """How many episodes, judged or not, ended in each way; ways that did not occur are left out."""
    counted = Counter(trajectory.stop for trajectory in trajectories)
    return {stop: counted[stop] for stop in get_args(Stop) if counted[stop]}


def figures(trajectories: Sequence[Trajectory]) -> dict[str, float | None]:
    """Means over the judged episodes; None where nothing was there to average.

    - `turns`, `turns_of_successes`: actions per episode.
    - `invalid_calls`: share of turns whose action was malformed, named an unknown tool or did not fit its schema.
    - `tool_errors`: share of turns whose call was valid and failed.
    - `max_turns`, `max_tokens`, `parse_error`, `timeout`: share of episodes that ended so.
    - `tokens`: sampled per episode; `prompt_tokens`: read per episode, the whole context anew at each turn. Over the
      episodes whose policy counts tokens.
    - `seconds`: wall time of an episode, its waiting for others included; `retries` of an episode.
    """
    counted = judged(trajectories)
    turns = [turn for trajectory in counted for turn in trajectory.turns]
    ended = stops(counted)
    return {
        "turns": _mean(len(t.turns) for t in counted),
        "turns_of_successes": _mean(len(t.turns) for t in counted if t.success),
        "invalid_calls": _mean(bool(turn.observation.feedback.get("invalid_call")) for turn in turns),
        "tool_errors": _mean(bool(turn.observation.feedback.get("tool_error")) for turn in turns),
        **{stop: ended.get(stop, 0) / len(counted) if counted else None for stop in OWN_STOPS},
        "tokens": _tokens(counted, "completion_tokens"),
        "prompt_tokens": _tokens(counted, "prompt_tokens"),
        "seconds": _mean(t.seconds for t in counted),
        "retries": _mean(t.retries for t in counted),
    }


def cost(trajectories: Sequence[Trajectory], prompt: float, completion: float) -> dict[str, float | None]:
    """What the tokens of all episodes cost, those that failed around the agent included, as they were paid for, too.

    `prompt` and `completion` are prices of a million tokens read and sampled. `total`, per `episode`, and per `success`
    (None without one); all None where an episode's policy counted no tokens. Attempts that were retried are not in it.
    """
    spent: list[float] = []
    for trajectory in trajectories:
        usages = [turn.action.usage for turn in trajectory.turns]
        if not all({"prompt_tokens", "completion_tokens"} <= usage.keys() for usage in usages):
            return {"total": None, "episode": None, "success": None}
        spent.append(sum(prompt * u["prompt_tokens"] + completion * u["completion_tokens"] for u in usages) / 1e6)
    successes = sum(trajectory.success for trajectory in trajectories)
    total = sum(spent)
    return {"total": total, "episode": total / len(spent), "success": total / successes if successes else None}


def facts(trajectories: Sequence[Trajectory]) -> dict[str, float]:
    """Mean of every number that the environment tells in its feedback (`f1`): of the last one in each judged episode,
    over the episodes that have one."""
    last: dict[str, list[float]] = {}
    for trajectory in judged(trajectories):
        told: dict[str, Any] = {}
        for turn in trajectory.turns:
            told |= turn.observation.feedback
        for name, value in told.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                last.setdefault(name, []).append(value)
    return {name: fmean(values) for name, values in sorted(last.items())}


def _tokens(trajectories: Sequence[Trajectory], kind: str) -> float | None:
    usages = [[turn.action.usage for turn in trajectory.turns] for trajectory in trajectories]
    return _mean(
        sum(usage.get(kind, 0) for usage in turns) for turns in usages if any(kind in usage for usage in turns)
    )


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return fmean(known) if known else None
