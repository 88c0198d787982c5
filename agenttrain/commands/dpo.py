"""`agenttrain dpo`: stored trajectories -> preference pairs -> a policy that makes the preferred ones likelier."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Literal

from agenttrain import seen
from agenttrain.commands.reward_model import MORE, episodes
from agenttrain.commands.summary import summarize
from agenttrain.data.trajectories import as_example
from agenttrain.errors import UserError
from agenttrain.eval.statistics import Rate, mean_rate
from agenttrain.model.loaded import Model
from agenttrain.model.threads import settle_threads
from agenttrain.preferences import Pair, by_outcome, held_out
from agenttrain.ranges import Count, Share, Whole
from agenttrain.trainer.dpo import Course, Dpo, Figures, Preferred, per_token
from agenttrain.types import Example, Trajectory
from agenttrain.votes import account, people, preferred, told
from agenttrain.watch import duration


def dpo(
    model: Model,
    algo: Dpo,
    path: str | list[str],
    out: Path,
    labels: str | list[str] | None = None,
    pairs: Count = 8,
    heldout: Share = 0.1,
    recorded_tokens: bool = True,
    seed: Whole = 0,
    resume: bool = False,
    threads: Count | None = None,
    report_to: list[Literal["tensorboard", "trackio", "wandb"]] | None = None,
) -> None:
    """Train, and leave `model/`, `report.md`, `figures.json`, `metrics.jsonl` and `checkpoints/` in `out`.

    Raises:
        UserError: no pair, a fault in the files, a mask, the model folder or the settings.
    """
    if not isinstance(algo, Dpo):
        raise UserError(f"algo={type(algo).__name__.lower()} does not learn from pairs: take algo=dpo.")
    model.check()
    played = episodes(path)
    answers = people(labels) if labels else []
    every = preferred(answers, played, pairs, seed) if answers else by_outcome(played, pairs, seed)
    if not every:
        found = told(account(answers, played))
        hint = f"`agenttrain label` asks for answers about these ({found})." if answers else MORE
        raise UserError(f"No two episodes of one task, one better than the other. {hint}")
    apart = held_out([pair.task for pair in every], heldout, seed)
    learnable = [_preferred(pair, recorded_tokens) for pair in every]
    train = [pair for pair in learnable if pair.task not in apart]
    loaded = model.load(out, trainable=True)
    settle_threads(loaded.model, threads)
    measured = [pair for pair in learnable if pair.task in apart]
    figures = algo.train(loaded, train, measured, out, seed, resume, report_to or [])
    if os.environ.get("RANK", "0") == "0":
        examples = (example for pair in train for example in (pair.chosen, pair.rejected))
        seen.write(out / "model", loaded.name, map(seen.of_example, examples))
        known = {"episodes": f"{len(played)}"} | (account(answers, played) if answers else {}) | facts(every, figures)
        _keep(out, figures)
        summarize(out, loaded.name, "direct preference optimization on stored episodes", known, figures.notes)


def _preferred(pair: Pair, recorded_tokens: bool) -> Preferred:
    def example(trajectory: Trajectory) -> Example:
        # An invalid call is what the policy did, and part of why an episode is worse: every turn counts.
        source = f"{trajectory.task.id}#{trajectory.attempt}"
        return as_example(trajectory, source, [True] * len(trajectory.turns), recorded_tokens)

    return Preferred(pair.task, example(pair.chosen), example(pair.rejected))


def facts(every: Sequence[Pair], figures: Figures) -> dict[str, str]:
    """What a reader wants to know of a run, in order."""
    tasks = len({pair.task for pair in every})
    known = {"pairs": f"{len(every)}, of {tasks} tasks (held out: {len(figures.heldout)})"}
    known |= {"trained on": f"{len(figures.trained)} pairs"}
    known |= {"left out, too long": f"{figures.too_long} pairs"} if figures.too_long else {}
    known |= {"left out, equal": f"{figures.equal} pairs"} if figures.equal else {}
    for name, courses in (("training", figures.trained), ("held-out", figures.heldout)):
        if not courses:
            continue
        known[f"{name} pairs told apart"] = _shown(told_apart(courses))
        for half in ("chosen", "rejected"):
            before, after = per_token(courses, half)
            known[f"{name} pairs, the {half}"] = f"{before:.3f} before, {after:.3f} after (nats per token)"
    if figures.train_loss is not None:
        known["training loss at the end"] = f"{figures.train_loss:.4f}"
    return known | {"steps": f"{figures.steps}", "time": duration(figures.seconds)}


def told_apart(courses: Sequence[Course]) -> Rate:
    """Mean over tasks of the share of their pairs of which the chosen gained on the rejected; interval by task."""
    tasks: dict[str, list[float]] = {}
    for course in courses:
        tasks.setdefault(course.task, []).append(float(course.margin > 0))
    return mean_rate([fmean(gained) for gained in tasks.values()], len(courses))


def _keep(out: Path, figures: Figures) -> None:
    sets = {"training_pairs": figures.trained, "heldout_pairs": figures.heldout}
    told = {
        name: {
            "pairs": len(courses),
            "told_apart": vars(told_apart(courses)),
            "margin": fmean(course.margin for course in courses),
            **{half: per_token(courses, half) for half in ("chosen", "rejected")},
        }
        for name, courses in sets.items()
        if courses
    }
    (out / "figures.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _shown(rate: Rate) -> str:
    return f"{rate.value:.1%} (95 % interval {rate.low:.1%} to {rate.high:.1%})"
