"""Task -> Environment -> rollout() -> Trajectory: let a policy act, and keep what happens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from agenttrain import rollout as loop
from agenttrain import store
from agenttrain.errors import UserError
from agenttrain.eval import metrics
from agenttrain.eval.statistics import success_rate
from agenttrain.model.loaded import Model
from agenttrain.policy.local import Local
from agenttrain.trajectory_record import task_hash
from agenttrain.types import FAILED_BY_US, Action, Environment, Observation, Policy, Tasks, Trajectory, Turn
from agenttrain.watch import progress

Episodes = dict[tuple[str, int], Trajectory]
"""By task id and attempt; without messages and tokens, which a long run could not keep in memory."""


def generate_trajectories(
    task: Tasks,
    env: Environment,
    policy: Policy,
    model: Model,
    rollout: loop.Limits,
    out: Path,
    attempts: int = 1,
    seed: int = 0,
    resume: bool = False,
    threads: int | None = 1,
) -> None:
    """Play `attempts` episodes of every task and write `<out>/trajectories.jsonl`, each as it ends, and `report.md`.

    Resuming plays what is owed: episodes that the file does not hold, or that failed around the agent. The command
    line has applied `threads` before torch came in.

    Raises:
        UserError: there is nothing to play, or the file to resume holds other tasks or another seed.
        SystemExit: every episode failed around the agent (server, environment); the first error is told.
    """
    path = out / "trajectories.jsonl"
    kept = recorded(path) if resume else {}
    owed = list(still_owed(loop.attempts(task, attempts, seed), kept))
    if not owed and not kept:
        raise UserError("nothing to play: the task set is empty, or attempts is 0")
    if owed and isinstance(policy, Local):
        loaded = model.load()
        policy.attach(loaded.model, loaded.chat, loaded.name)
    try:
        for trajectory in play(owed, env, policy, rollout, path):
            kept[trajectory.task.id, trajectory.attempt] = _light(trajectory)
    except (KeyboardInterrupt, OSError, UserError):
        if kept:
            print(f"{len(kept)} episodes are in {path}; resume=true plays the rest", file=sys.stderr)
        raise
    _tell(list(kept.values()), env, policy, path)


def recorded(path: Path) -> Episodes:
    """What an earlier run left; an episode that was played again counts as it ended last."""
    trajectories = store.read(path) if path.exists() else ()
    return {(trajectory.task.id, trajectory.attempt): _light(trajectory) for trajectory in trajectories}


def still_owed(wanted: Iterator[loop.Attempt], kept: Episodes) -> Iterator[loop.Attempt]:
    """Attempts that are not among `kept`, or failed there around the agent.

    Raises:
        UserError: one is there with another seed or another task of the same id.
    """
    for attempt in wanted:
        episode = kept.get((attempt.task.id, attempt.attempt))
        if episode is None:
            yield attempt
        elif episode.seed != attempt.seed or task_hash(episode.task) != task_hash(attempt.task):
            which = "with another seed" if episode.seed != attempt.seed else "as a task of other content"
            raise UserError(
                f"cannot resume: {attempt.task.id!r} was played {which}.\n"
                "Resume with the settings in config.yaml, or choose another folder with out=..."
            )
        elif episode.stop in FAILED_BY_US:
            yield attempt


def play(
    owed: list[loop.Attempt], env: Environment, policy: Policy, limits: loop.Limits, path: Path
) -> Iterator[Trajectory]:
    """Each trajectory once it is on disk, with a bar that shows the success rate."""
    successes = judged = 0
    with progress("episodes", len(owed)) as bar, closing(loop.rollout(owed, env, policy, limits)) as trajectories:
        for trajectory in trajectories:
            store.append(path, trajectory)  # not before there is one: a run that cannot begin leaves no file
            yield trajectory
            judged += trajectory.stop not in FAILED_BY_US
            successes += trajectory.success
            bar.advance(1, success=successes / max(judged, 1))


def _light(trajectory: Trajectory) -> Trajectory:
    """What figures are made of."""
    turns = [
        Turn(Action({}, usage=turn.action.usage), Observation([], feedback=turn.observation.feedback))
        for turn in trajectory.turns
    ]
    return replace(trajectory, turns=turns, messages=[], tools=[])


def _tell(episodes: list[Trajectory], env: Environment, policy: Policy, path: Path) -> None:
    """Print the closing lines and write the report."""
    from rich.console import Console
    from rich.text import Text

    report, lines = path.with_name("report.md"), _summary(episodes)
    errors = list(dict.fromkeys(episode.error or episode.stop for episode in episodes if episode.stop in FAILED_BY_US))
    settings = ", ".join(f"{key} {value}" for key, value in policy.describe().items())
    rows = {"environment": type(env).__name__, "policy": settings, **lines}
    text = "# Trajectories\n\n| | |\n| --- | --- |\n" + "".join(f"| {k} | {_cell(v)} |\n" for k, v in rows.items())
    if errors:
        text += "\n## Failures around the agent\n\n" + "".join(f"- {_cell(error)}\n" for error in errors[:20])
    report.write_text(text, encoding="utf-8")
    console = Console(highlight=False, soft_wrap=True)
    for label, figure in {**lines, "trajectories": str(path), "report": str(report)}.items():
        console.print(Text.assemble((f"{label:<14}", "bold"), figure))
    if not metrics.judged(episodes):
        sys.exit(f"agenttrain: every episode failed (resume=true plays them again), the first with: {errors[0]}")


def _summary(episodes: list[Trajectory]) -> dict[str, str]:
    """Label -> figure; figures of the agent leave out what failed around it."""
    judged, means = metrics.judged(episodes), metrics.figures(episodes)
    lines = {"episodes": str(len(episodes))}
    if judged:
        results = metrics.results(episodes)
        rate, won = success_rate(results), sum(map(sum, results.values()))
        interval = f"95 % interval {rate.low:.3f} to {rate.high:.3f} over {len(results)} tasks"
        lines["success"] = f"{rate.value:.3f} ({won} of {len(judged)} episodes; {interval})"
        lines["turns"] = f"{means['turns']:.1f} mean"
        lines["invalid calls"] = f"{means['invalid_calls'] or 0:.1%} of turns"
        lines["tool errors"] = f"{means['tool_errors'] or 0:.1%} of turns"
    lines["stops"] = ", ".join(f"{stop} {count}" for stop, count in metrics.stops(episodes).items())
    return lines


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
