"""Tasks that nothing is learned from -> how well the policy does on them, between two steps. No torch here."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from agenttrain import watch
from agenttrain.errors import UserError
from agenttrain.ranges import Count
from agenttrain.rollout import Attempt, rollout, stable_seed
from agenttrain.trainer.episodes import Flow, figures, light
from agenttrain.trainer.playing import Gather
from agenttrain.types import Policy, Task, Trajectory

_log = logging.getLogger(__name__)

SHOWN = ("success", "turns", "invalid_calls", "tool_errors", "truncated", "failed_by_us")
"""The figures that a measurement has, each as `heldout_<name>`; and `heldout_tasks`, how many could be played."""


@dataclass(frozen=True)
class HeldOut:
    """What is measured, how often, and how the policy samples meanwhile (None: as it does in that step)."""

    tasks: Sequence[Task]
    every: Count
    temperature: float | None = None
    top_p: float | None = None
    keep: Callable[[Trajectory], None] | None = None
    """Receives each of this process's episodes, with the number of steps learned from so far in `meta`."""

    def check(self, trained: Sequence[Task], policy: Policy) -> None:
        """
        Raises:
            UserError: there is none, training has the same, or the policy cannot sample otherwise.
        """
        if not self.tasks:
            raise UserError("heldout_every is set, but there is no held-out task: heldout=craft_heldout chooses some.")
        known = {_asked(task) for task in trained}
        if seen := [task for task in self.tasks if _asked(task) in known]:
            raise UserError(
                f"{len(seen)} of {len(self.tasks)} held-out tasks are trained on, too, the first is {seen[0].id!r}.\n"
                "Choose others with heldout=, for example another heldout.seed."
            )
        if self._sampling and not getattr(policy, "anneals", False):
            raise UserError("heldout_temperature and heldout_top_p need policy=local, which can change in a run.")
        if (self.temperature or 0) < 0 or not 0 < (1.0 if self.top_p is None else self.top_p) <= 1:
            raise UserError("heldout_temperature must be >= 0 and 0 < heldout_top_p <= 1.")

    def due(self, step: int) -> bool:
        """Whether it is measured before `step`, counted from 0."""
        return step % self.every == 0

    def measure(self, flow: Flow, step: int, process: int, processes: int, gather: Gather) -> dict[str, float]:
        """Each task once, from the same start at every measurement, so that what differs is the policy; no reward is
        asked. `step` is how many steps it has learned from; each process plays its share."""
        owed = [Attempt(task, 0, stable_seed(flow.seed, "heldout", task.id)) for task in self.tasks][process::processes]
        played: list[Trajectory] = []
        with self._as_measured(flow.policy), watch.progress("Held-out tasks", len(owed)) as bar:
            for trajectory in rollout(owed, flow.env, flow.policy, flow.limits):
                trajectory.meta |= {"method": "rl", "step": step, "heldout": True}
                if self.keep is not None:
                    self.keep(trajectory)
                played.append(light(trajectory))
                bar.advance(1)
        batch = gather(played)
        found = figures(batch, [])
        if math.isnan(found["success"]):
            _log.warning("No held-out task could be played before step %d: %s", step + 1, batch[0].error)
        shown = {f"heldout_{name}": found[name] for name in SHOWN if not math.isnan(found[name])}
        return shown | {"heldout_tasks": float(len(batch) - found["failed_by_us"])}

    @property
    def _sampling(self) -> dict[str, float]:
        wanted = {"temperature": self.temperature, "top_p": self.top_p}
        return {name: value for name, value in wanted.items() if value is not None}

    @contextmanager
    def _as_measured(self, policy: Any) -> Iterator[None]:
        before = {name: getattr(policy, name) for name in self._sampling}
        vars(policy).update(self._sampling)
        try:
            yield
        finally:
            vars(policy).update(before)


def _asked(task: Task) -> str:
    return repr((task.messages, task.answer, task.data))
