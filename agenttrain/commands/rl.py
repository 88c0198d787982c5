"""`agenttrain rl`: tasks -> rollouts -> rewards -> credit -> a checkpoint that has learned from what it did."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from agenttrain import seen, store
from agenttrain.combine import Terms
from agenttrain.commands.summary import summarize
from agenttrain.credit.process import Process
from agenttrain.errors import UserError
from agenttrain.model.loaded import Model
from agenttrain.model.threads import settle_threads
from agenttrain.ranges import Count, Whole
from agenttrain.reward.prm import Prm
from agenttrain.reward.score import apart, at_once, compare, score
from agenttrain.rollout import Limits
from agenttrain.trainer.episodes import Flow
from agenttrain.trainer.grpo import Curves, Grpo
from agenttrain.trainer.measuring import HeldOut
from agenttrain.trainer.terms import report
from agenttrain.types import Credit, Environment, Policy, Reward, Tasks, Trajectory
from agenttrain.watch import duration

CURVES = (
    "success",
    "reward",
    "turns",
    "invalid_calls",
    "tool_errors",
    "unsafe",
    "truncated",
    "entropy",
    "groups_without_variance",
)
"""The figures whose course the report shows."""


def rl(
    model: Model,
    task: Tasks,
    env: Environment,
    policy: Policy,
    rollout: Limits,
    reward: dict[str, Reward],
    combine: Terms,
    credit: Credit,
    algo: Grpo,
    out: Path,
    seed: Whole = 0,
    resume: bool = False,
    threads: Count | None = None,
    save_trajectories: bool = True,
    report_to: list[Literal["tensorboard", "trackio", "wandb"]] | None = None,
    heldout: Tasks | None = None,
    heldout_every: Whole = 0,
    heldout_temperature: float | None = None,
    heldout_top_p: float | None = None,
) -> None:
    """Train, and leave `model/`, `report.md`, `metrics.jsonl`, `trajectories.jsonl` and `checkpoints/` in `out`, and
    with `heldout_every` what was played on held-out tasks in `heldout.jsonl`.

    Raises:
        UserError: a fault in tasks, rewards, the model folder or the settings.
    """
    if not any(term.weight for term in reward.values()):
        raise UserError("No reward has a weight: choose one, for example reward=rlvf.")
    _differences_once(credit, reward)
    combine.begin(reward)
    model.check()
    alone, in_groups = apart(reward)
    judge = partial(score, rewards=alone, timeout=rollout.reward_timeout)
    compared = partial(compare, rewards=in_groups, timeout=rollout.reward_timeout) if in_groups else None
    flow = Flow(list(task), env, policy, rollout, judge, credit, seed, combine, at_once(reward), compared)
    loggers, measured = report_to or [], None
    # Before the model: a fault is found in a second, and leaves nothing behind.
    algo.check(flow, loggers)
    if heldout_every:
        measured = HeldOut(list(heldout or ()), heldout_every, heldout_temperature, heldout_top_p)
        measured.check(flow.tasks, policy)
    loaded = model.load(out, trainable=True)
    settle_threads(loaded.model, threads)
    with (
        _kept(out, "trajectories", resume) if save_trajectories else nullcontext() as keep,
        _kept(out, "heldout", resume) if measured else nullcontext() as keep_heldout,
    ):
        measured = replace(measured, keep=keep_heldout) if measured else None
        curves = algo.train(loaded, flow, out, resume, loggers, keep, measured)
    if os.environ.get("RANK", "0") == "0":
        seen.write(out / "model", loaded.name, (seen.of_task(flow.tasks[number]) for number in curves.played))
        done = "reinforcement learning on its own episodes"
        summarize(out, loaded.name, done, facts(curves), curves.notes, details(curves))


def _differences_once(credit: Credit, reward: dict[str, Reward]) -> None:
    """
    Raises:
        UserError: credit would take differences between turns of what are differences already.
    """
    if not isinstance(credit, Process) or credit.form != "progress":
        return
    for name in [credit.term] if credit.term else reward:
        term = reward.get(name)
        if isinstance(term, Prm) and term.form != "absolute":
            raise UserError(
                f"reward.{name}.form={term.form} and credit.form=progress both take differences between turns.\n"
                f"Set reward.{name}.form=absolute or credit.form=absolute."
            )


def facts(curves: Curves) -> dict[str, str]:
    """What a reader wants to know of a run, in order."""
    first, last = _tenths(curves.steps)
    known = {"steps": f"{len(curves.steps)}", "episodes": f"{curves.episodes}"}
    if first:
        known["success, first steps"] = f"{_mean(first, 'success'):.3f} (mean of {len(first)})"
        known["success, last steps"] = f"{_mean(last, 'success'):.3f} (mean of {len(last)})"
        if measured := [*curves.heldout.values()]:
            known["held-out success, before and after"] = f"{measured[0]:.3f} and {measured[-1]:.3f}"
        known["failed around the agent"] = f"{sum(row['failed_by_us'] for row in curves.steps):.0f} episodes, masked"
        if unscored := sum(row.get("reward_errors", 0.0) for row in curves.steps):
            known["of these, a reward failed"] = f"{unscored:.0f}"
        if lost := sum(row.get("lost_step", 0.0) for row in curves.steps):
            known["steps without an episode"] = f"{lost:.0f}, nothing learned from them"
        known["playing"] = duration(sum(row["rollout_seconds"] for row in curves.steps))
        known["learning"] = duration(sum(row["train_seconds"] for row in curves.steps))
    return known | {"time": duration(curves.seconds)}


def details(curves: Curves) -> str:
    """The sections of the report after its facts."""
    parts = [f"\n## Course\n\n{course(curves.steps)}"]
    if curves.heldout:
        rows = "".join(f"| {steps} | {success:.3f} |\n" for steps, success in curves.heldout.items())
        parts.append(f"\n## Held-out tasks\n\n| after steps | success |\n|---|---|\n{rows}")
    if terms := report(curves.steps):
        parts.append(f"\n## Terms of the reward\n\n{terms}")
    return "".join(parts)


def course(steps: Sequence[dict[str, float]], points: int = 10) -> str:
    """The figures of `CURVES` over the run as a Markdown table, each row the mean of a tenth of the steps."""
    shown = [name for name in CURVES if any(name in row for row in steps)]
    lines = [f"| steps | {' | '.join(shown)} |", "|---" * (len(shown) + 1) + "|"]
    size = max(1, -(-len(steps) // points))
    for start in range(0, len(steps), size):
        rows = steps[start : start + size]
        numbers = f"{start + 1}-{start + len(rows)}" if len(rows) > 1 else f"{start + 1}"
        lines.append(f"| {numbers} | {' | '.join(f'{_mean(rows, name):.3f}' for name in shown)} |")
    return "\n".join(lines) + "\n"


def _tenths(steps: list[dict[str, float]]) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """The first and the last tenth of the steps, at least one each."""
    size = max(1, len(steps) // 10)
    return steps[:size], steps[-size:]


def _mean(rows: Sequence[dict[str, float]], name: str) -> float:
    values = [row[name] for row in rows if row.get(name) is not None]
    return sum(values) / len(values) if values else math.nan


@contextmanager
def _kept(out: Path, name: str, resume: bool) -> Iterator[Callable[[Trajectory], None]]:
    """Appends each episode to `<name>.jsonl` (each further process has a file of its own), and none twice: a resumed
    run plays again what was played since its checkpoint, to the same end."""
    rank = os.environ.get("RANK", "0")
    path = out / (f"{name}.jsonl" if rank == "0" else f"{name}.{rank}.jsonl")

    def key(trajectory: Trajectory) -> tuple[int, str, int]:
        return trajectory.meta["step"], trajectory.task.id, trajectory.attempt

    known = set(map(key, store.read(path))) if resume and path.exists() else set()
    with store.Writer(path) as writer:
        yield lambda trajectory: None if key(trajectory) in known else writer.write(trajectory)
