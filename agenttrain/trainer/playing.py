"""Tasks of a step -> its episodes: a process plays its rows, and groups without signal give way to other tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agenttrain import watch
from agenttrain.errors import UserError
from agenttrain.trainer.episodes import Flow
from agenttrain.trainer.selection import Outcome, Selection, by_group, outcome, silent
from agenttrain.types import Trajectory

Gather = Callable[[list[Any]], list[Any]]
"""This process's objects -> those of all processes."""


@dataclass(frozen=True)
class Played:
    """A step, as one process has it."""

    episodes: list[Trajectory]
    """One per row, in order."""
    replaced: list[Trajectory]
    """Its episodes of groups that gave way to others; nothing learns from them."""
    silent: frozenset[int]
    """Places of the groups that are without signal all the same."""
    shown: dict[str, float]
    """`silent_groups`: share of all groups that were played for the step; `refilled_groups`: how many gave way."""


def play(
    flow: Flow, selection: Selection, planned: Sequence[int], rows: range, size: int, step: int, gather: Gather
) -> Played:
    """The step's groups have the tasks `planned`, or those that `selection` takes; this process plays attempts `rows`
    of all groups, counted through, `size` to a group.

    Raises:
        UserError: rewards compare groups, and this process does not play whole ones.
    """
    if flow.compare and (size < 2 or rows.start % size or rows.stop % size):
        raise UserError(
            f"A reward compares the attempts of a group, and a process plays {len(rows)} episodes in groups of {size}: "
            "it must play whole groups of two or more.\nChange algo.group_size, algo.tasks_per_step or the processes."
        )
    groups = selection.first(planned, step)
    episodes = _episodes(flow, {row: groups[row // size] for row in rows}, size, step)
    found = _gathered(episodes, size, gather)
    tried = {groups[group]: outcomes for group, outcomes in found.items()}
    quiet = {group for group, outcomes in found.items() if silent(outcomes)}
    replaced: list[Trajectory] = []
    for round in range(selection.refill):
        giving = dict(zip(sorted(quiet), selection.instead(len(quiet), tried, step, round), strict=False))
        if not giving:
            break
        again = _episodes(flow, {row: giving[row // size] for row in rows if row // size in giving}, size, step)
        replaced += [episodes[row] for row in again]
        episodes |= again
        found = _gathered(again, size, gather)
        tried |= {giving[group]: outcomes for group, outcomes in found.items()}
        quiet = (quiet - giving.keys()) | {group for group, outcomes in found.items() if silent(outcomes)}
    selection.observe(tried)
    shown = {"silent_groups": sum(map(silent, tried.values())) / len(tried)}
    if selection.refill:
        shown["refilled_groups"] = float(len(tried) - len(groups))
    return Played([episodes[row] for row in rows], replaced, frozenset(quiet), shown)


def _episodes(flow: Flow, tasks: Mapping[int, int], size: int, step: int) -> dict[int, Trajectory]:
    """Row -> its episode, of the task that `tasks` has for it."""
    owed = {row: flow.owed(task, row % size, step) for row, task in tasks.items()}
    ended: dict[tuple[str, int], Trajectory] = {}
    with watch.progress(f"Step {step + 1}", len(owed)) as bar:
        for trajectory in flow.play(list(owed.values())):
            ended[trajectory.task.id, trajectory.attempt] = trajectory
            bar.advance(1)
    return {row: ended[attempt.task.id, attempt.attempt] for row, attempt in owed.items()}


def _gathered(episodes: Mapping[int, Trajectory], size: int, gather: Gather) -> dict[int, list[Outcome]]:
    """Place of a group -> the outcomes of all its attempts, whoever played them."""
    return by_group(gather([outcome(trajectory, row // size) for row, trajectory in episodes.items()]))
