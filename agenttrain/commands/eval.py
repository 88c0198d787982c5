"""Checkpoint -> rollout() -> success with its interval: the last arrow, on the same loop as training."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agenttrain import play, seen, store
from agenttrain import rollout as loop
from agenttrain.commands.report import leave
from agenttrain.errors import UserError
from agenttrain.eval import report
from agenttrain.eval.metrics import judged
from agenttrain.model.loaded import Model, ModelPolicy
from agenttrain.model.threads import settle_threads
from agenttrain.ranges import Count, NonNegative, Share, Whole
from agenttrain.trajectory_record import digest, task_hash
from agenttrain.types import Environment, Policy, Task, Tasks, Trajectory
from agenttrain.watch import MetricsFile


def eval(
    model: Model,
    task: Tasks,
    env: Environment,
    policy: Policy,
    rollout: loop.Limits,
    out: Path,
    attempts: Count = 1,
    seed: Whole = 0,
    resume: bool = False,
    threads: Count | None = None,
    min_success: Share | None = None,
    prompt_price: NonNegative | None = None,
    completion_price: NonNegative | None = None,
) -> None:
    """Play `attempts` episodes of every task; leave `trajectories.jsonl`, `eval.json` and `report.md` in `out`.

    Resuming plays what is owed: episodes that the file lacks, or that failed through no fault of the agent.

    Raises:
        UserError: nothing to play, or the folder to resume holds other tasks, another seed or another policy.
        SystemExit: status 1; success is below `min_success` (0 to 1), or no episode says anything about the agent.
    """
    if min_success is not None and not 0 <= min_success <= 1:
        raise UserError(f"min_success={min_success:g} is no success rate: take a number from 0 to 1")
    if (prompt_price is None) != (completion_price is None):
        raise UserError("a cost needs both prices: prompt_price and completion_price")
    tasks, path = list(task), out / "trajectories.jsonl"
    kept, owed = play.split(loop.attempts(tasks, attempts, seed), path, resume)
    if not kept and not owed:
        raise UserError("nothing to evaluate: the task set is empty, or attempts is 0")
    marks = None
    if isinstance(policy, ModelPolicy):
        loaded = model.load()
        settle_threads(loaded.model, threads)
        policy.attach(loaded.model, loaded.chat, loaded.name)
        marks = seen.read(loaded.name)
    _check_same_policy(kept, policy, out)

    began = time.monotonic()
    trajectories = kept + list(play.episodes(owed, env, policy, rollout, path, label="evaluation"))
    if not judged(trajectories):
        error = trajectories[0].error
        sys.exit(f"agenttrain: every episode failed through no fault of the agent, the first with: {error}")

    recorded = next(store.read(path)).meta
    evaluation = report.evaluate(
        trajectories,
        parts={task.id: task.data["env"] for task in tasks if "env" in task.data},
        seen_in_training=None if marks is None else sorted(seen.tasks_seen(trajectories, marks)),
        prices=None if prompt_price is None or completion_price is None else (prompt_price, completion_price),
        policy=policy.describe(),
        env=recorded.get("env"),
        tasks=len(tasks),
        attempts=attempts,
        seed=seed,
        task_set=task_set(tasks),
        conditions=_conditions(out),
        seconds=time.monotonic() - began,
        config_hash=recorded.get("config_hash"),
    )
    tell(evaluation, trajectories, out)
    success = evaluation["success"]["value"]
    if min_success is not None and success < min_success:
        sys.exit(f"agenttrain: success {success:.3f} is below min_success={min_success:g}")


def _check_same_policy(kept: Sequence[Trajectory], policy: Policy, out: Path) -> None:
    now = json.dumps(policy.describe(), sort_keys=True)
    for trajectory in kept:
        then = json.dumps(trajectory.meta.get("policy"), sort_keys=True)
        if then != now:
            raise UserError(
                f"cannot resume: the episodes in {out} were played by {then}, not by {now}.\n"
                "Resume with the settings of its config.yaml, or choose another folder with out=..."
            )


def task_set(tasks: Sequence[Task]) -> str:
    """Equal for equal tasks in any order: what `agenttrain compare` pairs by."""
    return digest("\n".join(sorted(f"{task.id} {task_hash(task)}" for task in tasks)))


def _conditions(out: Path) -> dict[str, Any] | None:
    """What the run's `config.yaml` says of environment and rollout, if the command line wrote one."""
    import yaml

    if not (out / "config.yaml").is_file():
        return None
    config = yaml.safe_load((out / "config.yaml").read_text(encoding="utf-8"))
    return {group: config.get(group) for group in ("env", "rollout")}


def tell(evaluation: report.Evaluation, trajectories: Sequence[Trajectory], out: Path) -> None:
    """eval.json comes last: where it stands, the rest is whole."""
    (out / "report.md").write_text(report.markdown(evaluation, trajectories), encoding="utf-8")
    success = evaluation["success"]["value"]
    MetricsFile(out / "metrics.jsonl").write(step=len(trajectories), success=success, **evaluation["figures"])
    (out / "eval.json").write_text(json.dumps(evaluation, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(report.describe(evaluation))
    report.print_table(("figure", "value"), report.rows(evaluation))
    for line in (
        report.excluded(evaluation),
        report.leaked(evaluation),
        report.mixed(evaluation),
        f"report: {out / 'report.md'}   figures: {out / 'eval.json'}",
    ):
        if line:
            print(line)
    leave(out)
