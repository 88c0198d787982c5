"""Task -> Environment -> rollout() -> Trajectory: let a policy act, and keep what happens."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from agenttrain import play
from agenttrain import rollout as loop
from agenttrain.commands.report import leave
from agenttrain.errors import UserError
from agenttrain.eval import metrics, report
from agenttrain.model.loaded import Model, ModelPolicy
from agenttrain.model.threads import settle_threads
from agenttrain.ranges import Count, Whole
from agenttrain.types import FAILED_BY_US, Action, Environment, Observation, Policy, Tasks, Trajectory, Turn


def generate_trajectories(
    task: Tasks,
    env: Environment,
    policy: Policy,
    model: Model,
    rollout: loop.Limits,
    out: Path,
    attempts: Count = 1,
    seed: Whole = 0,
    resume: bool = False,
    threads: Count | None = None,
) -> None:
    """Play `attempts` episodes of every task; leave `trajectories.jsonl`, a line as each ends, and its figures in
    `report.md` and `figures.json`.

    Resuming plays what is owed: episodes that the file lacks, or that failed through no fault of the agent.

    Raises:
        UserError: nothing to play, an `out` that is in use, or one to resume that holds other tasks or another seed.
        SystemExit: status 1; no episode says anything about the agent.
    """
    path = out / "trajectories.jsonl"
    kept, owed = play.split(loop.attempts(task, attempts, seed), path, resume)
    if not kept and not owed:
        raise UserError("nothing to play: the task set is empty, or attempts is 0")
    if owed and isinstance(policy, ModelPolicy):
        loaded = model.load()
        settle_threads(loaded.model, threads)
        policy.attach(loaded.model, loaded.chat, loaded.name)
    ended = [_light(trajectory) for trajectory in kept]
    try:
        for trajectory in play.episodes(owed, env, policy, rollout, path):
            ended.append(_light(trajectory))
    except (KeyboardInterrupt, OSError, UserError):
        if ended:
            print(f"what has ended is in {path}; resume=true plays the rest", file=sys.stderr)
        raise
    _tell(ended, env, policy, attempts, path)


def _light(trajectory: Trajectory) -> Trajectory:
    """What figures are made of; the messages and tokens of a long run would not fit into memory."""
    turns = [
        Turn(Action({}, usage=turn.action.usage), Observation([], feedback=turn.observation.feedback))
        for turn in trajectory.turns
    ]
    return replace(trajectory, turns=turns, messages=[], tools=[])


def _tell(ended: list[Trajectory], env: Environment, policy: Policy, attempts: int, path: Path) -> None:
    """Write the report and print its figures."""
    errors = [episode.error or episode.stop for episode in ended if episode.stop in FAILED_BY_US]
    if not metrics.judged(ended):
        sys.exit(f"agenttrain: every episode failed through no fault of the agent, the first with: {errors[0]}")
    evaluation = report.evaluate(
        ended,
        policy=policy.describe(),
        parts={episode.task.id: episode.task.data["env"] for episode in ended if "env" in episode.task.data},
        env=loop.name_of(env),
        tasks=len({episode.task.id for episode in ended}),
        attempts=attempts,
    )
    stops = ", ".join(f"{stop} {count}" for stop, count in evaluation["stops"].items())
    rows = [("episodes", str(len(ended))), *report.rows(evaluation), ("stops", stops), *_by_method(ended)]
    about, excluded = report.describe(evaluation), report.excluded(evaluation)
    table = "".join(f"| {name} | {figure} |\n" for name, figure in rows)
    failures = "".join(f"- {' '.join(error.split())}\n" for error in dict.fromkeys(errors))
    text = f"# Trajectories\n\n{about}\n\n| figure | value |\n| --- | --- |\n{table}"
    text += f"\n{excluded}\n\n{failures}" if excluded else ""
    path.with_name("report.md").write_text(text, encoding="utf-8")
    path.with_name("figures.json").write_text(json.dumps(evaluation, indent=1) + "\n", encoding="utf-8")
    print(about)
    report.print_table(("figure", "value"), rows)
    for line in (excluded, f"trajectories: {path}   report: {path.with_name('report.md')}"):
        if line:
            print(line)
    leave(path.parent)


def _by_method(ended: list[Trajectory]) -> list[tuple[str, str]]:
    """How often each method of a teacher succeeded, where it has several."""
    methods: dict[str, list[Trajectory]] = {}
    for episode in metrics.judged(ended):
        if "method" in episode.meta:
            methods.setdefault(episode.meta["method"], []).append(episode)
    told = []
    for method, episodes in sorted(methods.items()):
        turns = metrics.figures(episodes)["turns"]
        solved = sum(episode.success for episode in episodes)
        told.append((f"method {method}", f"{solved} of {len(episodes)} episodes solved, {turns:.1f} turns each"))
    return told
