"""A step's episodes -> how much they differ, and whether they fall into the echo trap (RAGEN, arXiv 2504.20073).

A policy that is about to collapse says the same again and again: its returns within a group draw together before they
fall, and its turns repeat. Both are cheap to see, and neither is in a mean reward.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from math import isfinite, nan
from statistics import fmean, pstdev

from agenttrain.types import Message, Trajectory

WINDOW = 10
"""Steps on either side of the comparison by which `echo_trap` judges."""
RISE = 0.1
"""By how much the share of repeated turns must have risen."""
FALL = 0.5
"""To which part the deviation of returns must have fallen."""


def action_key(message: Message) -> str:
    """Equal for actions that say and call the same, whatever ids their calls have; 16 characters."""
    calls = [call.get("function") for call in message.get("tool_calls") or ()]
    said = json.dumps([message.get("content"), calls], sort_keys=True, default=str)
    return blake2b(said.encode(), digest_size=8).hexdigest()


def diversity(groups: Sequence[Sequence[Trajectory]]) -> dict[str, float]:
    """Figures of one step. `groups` are the attempts at each task, without those that we failed; the actions of their
    turns may be messages or, after `light`, keys of them. nan where there is no group."""
    if not groups:
        return dict.fromkeys(("return_deviation", "unique_states", "unique_actions", "repeated_turns"), nan)
    returns = [[sum(t.turn_rewards) for t in group] for group in groups]
    moves = [[_moves(t) for t in group] for group in groups]
    turns = sum(len(episode) for group in moves for episode in group)
    repeated = sum(len(episode) - len(set(episode)) for group in moves for episode in group)
    return {
        "return_deviation": fmean(map(pstdev, returns)),
        "unique_states": fmean(len({state for episode in group for state, _ in episode}) for group in moves),
        "unique_actions": fmean(len({action for episode in group for _, action in episode}) for group in moves),
        "repeated_turns": repeated / turns if turns else nan,
    }


def echo_trap(steps: Sequence[Mapping[str, float | None]]) -> str | None:
    """What the last steps show if they show the trap: turns repeat more, returns differ less, and success is no
    higher. `steps` are rows of figures, in order; one that lacks a figure, or has none (None, nan), is passed over."""
    newest = (known for row in reversed(steps) if (known := _known(row)))
    rows = list(islice(newest, 2 * WINDOW))[::-1]
    if len(rows) < 2 * WINDOW:
        return None
    before, after = rows[:WINDOW], rows[WINDOW:]

    def course(name: str) -> tuple[float, float]:
        return fmean(row[name] for row in before), fmean(row[name] for row in after)

    repeated, apart, success = course("repeated_turns"), course("return_deviation"), course("success")
    if repeated[1] < repeated[0] + RISE or apart[1] > FALL * apart[0] or success[1] > success[0]:
        return None
    return (
        f"turns that repeat rose from {repeated[0]:.0%} to {repeated[1]:.0%}, and the deviation of returns within a "
        f"group fell from {apart[0]:.3g} to {apart[1]:.3g}"
    )


def _known(row: Mapping[str, float | None]) -> dict[str, float]:
    """The figures that `echo_trap` reads; empty if one is missing."""
    names = ("repeated_turns", "return_deviation", "success")
    known = {name: value for name in names if (value := row.get(name)) is not None and isfinite(value)}
    return known if len(known) == len(names) else {}


def _moves(trajectory: Trajectory) -> list[tuple[str, str]]:
    """State and action of each turn, as keys."""
    turns = ((turn.observation.state, turn.action.message) for turn in trajectory.turns)
    return [(state, message.get("key") or action_key(message)) for state, message in turns]
