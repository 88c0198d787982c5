"""rollout() -> trajectories on disk: play what a file still owes, and keep each episode as it ends."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from agenttrain import store
from agenttrain.errors import UserError
from agenttrain.rollout import Attempt, Limits, rollout
from agenttrain.trajectory_record import task_hash
from agenttrain.types import FAILED_BY_US, Environment, Policy, Trajectory
from agenttrain.watch import progress


def split(wanted: Iterable[Attempt], path: Path, resume: bool = True) -> tuple[list[Trajectory], list[Attempt]]:
    """What the file holds of the wanted attempts, and what it owes: those that it lacks, and those whose last episode
    failed through the environment or the infrastructure.

    Raises:
        UserError: several processes (torchrun) would write one file, two tasks have one id, the file's episodes were
            played at other tasks or with another seed, or the file is there and `resume` is false.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(
            "episodes are played in one process: start this without torchrun, and raise rollout.concurrency"
        )
    if path.exists() and not resume:
        raise UserError(f"{path} exists. Choose another folder with out=..., or continue with resume=true")
    recorded = {_key(t): t for t in store.read(path)} if path.exists() else {}
    seen: set[tuple[str, int]] = set()
    kept: list[Trajectory] = []
    owed: list[Attempt] = []
    for attempt in wanted:
        key = attempt.task.id, attempt.attempt
        if key in seen:
            raise UserError(f"two tasks have the id {attempt.task.id!r}; an id must name one task")
        seen.add(key)
        known = recorded.get(key)
        if known is None or known.stop in FAILED_BY_US:
            owed.append(attempt)
        elif (known.seed, task_hash(known.task)) != (attempt.seed, task_hash(attempt.task)):
            raise UserError(
                f"cannot resume: {path} holds task {attempt.task.id!r} with another content or seed.\n"
                "Resume with the settings of its config.yaml, or choose another folder with out=..."
            )
        else:
            kept.append(known)
    return kept, owed


def episodes(
    owed: list[Attempt], env: Environment, policy: Policy, limits: Limits, path: Path, label: str = "episodes"
) -> Iterator[Trajectory]:
    """Play every attempt; yields each trajectory (in the order of their ends) once it is on disk."""
    judged = successes = 0
    with (
        store.Writer(path) as writer,
        progress(label, len(owed)) as bar,
        closing(rollout(owed, env, policy, limits)) as ended,
    ):
        for trajectory in ended:
            writer.write(trajectory)
            judged += trajectory.stop not in FAILED_BY_US
            successes += trajectory.success
            bar.advance(1, **{"success": successes / judged} if judged else {})
            yield trajectory


def _key(trajectory: Trajectory) -> tuple[str, int]:
    return trajectory.task.id, trajectory.attempt
