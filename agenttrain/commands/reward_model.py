"""`agenttrain reward-model`: stored trajectories -> preference pairs or labelled turns -> a model that scores them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import fmean, pvariance

from agenttrain import store
from agenttrain.commands.rescore import identity
from agenttrain.commands.summary import summarize
from agenttrain.commands.turn_values import read_values
from agenttrain.errors import UserError
from agenttrain.eval.statistics import Rate, mean_rate
from agenttrain.labels import Labels, content
from agenttrain.model.loaded import Model
from agenttrain.model.scorer import Scorer, on_trunk
from agenttrain.model.threads import settle_threads
from agenttrain.preferences import Pair, by_outcome, held_out, usable
from agenttrain.ranges import Count, Share, Whole
from agenttrain.reward.logits import probability
from agenttrain.trainer.reward_model import Labelled, RewardModel
from agenttrain.types import Trajectory
from agenttrain.votes import account, people, preferred, told, turn_values
from agenttrain.watch import duration

MORE = "Play each task several times: agenttrain generate-trajectories attempts=4"


def reward_model(
    model: Model,
    algo: RewardModel,
    path: str | list[str],
    out: Path,
    values: Path | None = None,
    labels: str | list[str] | None = None,
    pairs: Count = 8,
    heldout: Share = 0.2,
    seed: Whole = 0,
    resume: bool = False,
    threads: Count | None = None,
) -> None:
    """Train, and leave `model/`, `report.md`, `figures.json`, `metrics.jsonl` and `checkpoints/` in `out`.

    Raises:
        UserError: nothing to train on, a fault in the files, the model folder or the settings.
    """
    _check(algo, values, labels)
    model.check()
    answers = people(labels) if labels else []
    split = _split(episodes(path), algo, values, answers, pairs, heldout, seed)
    loaded = model.load(out, trainable=True)
    settle_threads(loaded.model, threads)
    scorer = on_trunk(loaded)
    examples = split.train if algo.objective == "pairs" else split.labelled
    figures = algo.train(scorer, examples, out, seed, resume)
    # What it cannot read it cannot be measured on; of the training data `algo.train` has left that out already.
    read = {id(t) for t in split.played if len(scorer.encode(t)[0]) <= scorer.context}
    sets = {"training pairs": split.train, "held-out pairs": split.measured}
    rates = {
        name: ranked_right(scorer, [pair for pair in some if {id(pair.chosen), id(pair.rejected)} <= read])
        for name, some in sets.items()
    }
    error = turn_error(scorer, [one for one in split.labelled_apart if id(one[0]) in read])
    _keep(out, rates, error)
    facts = {"episodes": f"{len(split.played)}"} | (account(answers, split.played) if answers else {})
    facts |= {"tasks with pairs": f"{split.tasks}"}
    facts |= {
        "pairs": f"{len(split.train) + len(split.measured)} (held out: {len(split.measured)}, of {split.apart} tasks)"
    }
    facts |= {"trained on": f"{figures.examples} {'pairs' if algo.objective == 'pairs' else 'episodes'}"}
    facts |= {"left out, too long": f"{figures.too_long}"} if figures.too_long else {}
    if unread := len(split.played) - len(read):
        facts["beyond the model's context, measured nowhere"] = f"{unread} episodes"
    facts |= {f"{name} ranked right": _shown(rate) for name, rate in rates.items()}
    if error is not None:
        text = f"{error['squared_error']:.4f} (of their mean: {error['of_their_mean']:.4f})"
        facts["held-out turns, squared error"] = text
    if figures.train_loss is not None:
        facts["training loss at the end"] = f"{figures.train_loss:.4f} nats"
    facts |= {"steps": f"{figures.steps}", "time": duration(figures.seconds)}
    summarize(out, loaded.name, "a reward model of its trajectories", facts, figures.notes)


def episodes(path: str | list[str]) -> list[Trajectory]:
    """What the agent played, of one or several files or folders of runs."""
    named = map(Path, [path] if isinstance(path, str) else path)
    files = (name / "trajectories.jsonl" if name.is_dir() else name for name in named)
    return usable(chain.from_iterable(map(store.read, files)))


def _check(algo: RewardModel, values: Path | None, labels: str | list[str] | None) -> None:
    """
    Raises:
        UserError: labels that the objective does not learn from, or none for one that needs them; several processes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("reward-model trains in one process: start it without torchrun.")
    turns = algo.objective == "turns"
    if (turns and values is None and labels is None) or (values is not None and not turns):
        raise UserError(
            "algo.objective=turns and values=... (of agenttrain turn-values) belong together: set both.\n"
            "In place of values: labels=... (of agenttrain label --ask turns)."
        )
    if values is not None and labels is not None:
        raise UserError("values= and labels= both say what turns are worth: give one of them.")
    if labels is not None and algo.objective == "outcomes":
        raise UserError("algo.objective=outcomes learns from outcomes alone: labels= is for pairs and turns.")


@dataclass(frozen=True)
class _Split:
    """What trains, and what only measures."""

    played: list[Trajectory]
    train: list[Pair]
    measured: list[Pair]
    labelled: list[Labelled]
    labelled_apart: list[Labelled]
    """Held-out episodes whose turns have labels; those of outcomes are measured by pairs."""
    apart: int
    """Tasks held out."""

    @property
    def tasks(self) -> int:
        """Those with pairs."""
        return len({pair.task for pair in (*self.train, *self.measured)})


def _split(
    played: list[Trajectory],
    algo: RewardModel,
    values: Path | None,
    answers: Sequence[Labels],
    pairs: int,
    heldout: float,
    seed: int,
) -> _Split:
    """
    Raises:
        UserError: nothing is left to train on.
    """
    files = ", ".join(str(labels.path) for labels in answers)
    asked = bool(answers) and algo.objective == "pairs"
    every = preferred(answers, played, pairs, seed) if asked else by_outcome(played, pairs, seed)
    of_turns = algo.objective == "turns"
    apart = held_out([pair.task for pair in every] or [t.task.id for t in played], heldout, seed)
    train = [pair for pair in every if pair.task not in apart]
    if not train and not of_turns:
        what = f"preference in labels={files}" if asked else "success and a failure"
        found = f" ({told(account(answers, played))})" if asked else ""
        raise UserError(
            f"No task has a {what} among its {len(played)} played episodes{found}.\n"
            f"{'Label more of them: agenttrain label' if asked else MORE}"
        )
    marks = (
        _marks(played, values, answers) if of_turns else {id(t): {len(t.turns) - 1: float(t.success)} for t in played}
    )
    valued = [(t, marks[id(t)]) for t in played if marks.get(id(t))]
    labelled = [one for one in valued if one[0].task.id not in apart]
    if not labelled:
        raise UserError(f"{values or files} has no turn of the training trajectories: value or label more of these.")
    of_apart = [one for one in valued if one[0].task.id in apart] if of_turns else []
    return _Split(played, train, [pair for pair in every if pair.task in apart], labelled, of_apart, len(apart))


def _marks(played: list[Trajectory], values: Path | None, answers: Sequence[Labels]) -> dict[int, dict[int, float]]:
    """`id` of a trajectory -> turn -> what it is worth."""
    if answers:
        known = turn_values(answers, played)
        return {id(t): known[content(t)] for t in played if content(t) in known}
    valued = read_values(values) if values is not None else {}
    return {id(t): valued[identity(t)] for t in played if identity(t) in valued}


def ranked_right(scorer: Scorer, pairs: Sequence[Pair]) -> Rate | None:
    """Mean over tasks of the share of their pairs in which the chosen scores higher, an equal score counting half;
    interval by task. None without pairs."""
    scores = scorer.score([t for pair in pairs for t in (pair.chosen, pair.rejected)])
    tasks: dict[str, list[float]] = {}
    for number, pair in enumerate(pairs):
        chosen, rejected = scores[2 * number][-1], scores[2 * number + 1][-1]
        tasks.setdefault(pair.task, []).append(0.5 * ((chosen > rejected) + (chosen >= rejected)))
    return mean_rate([fmean(right) for right in tasks.values()], len(pairs)) if pairs else None


def turn_error(scorer: Scorer, labelled: Sequence[Labelled]) -> dict[str, float] | None:
    """Mean squared error of the probabilities of the labelled turns, and the least that one number for all of them has.
    None without turns."""
    scores = scorer.score([trajectory for trajectory, _ in labelled])
    known = [
        (probability(logits[turn]), label)
        for logits, (_, labels) in zip(scores, labelled, strict=True)
        for turn, label in labels.items()
    ]
    if not known:
        return None
    return {
        "turns": len(known),
        "squared_error": fmean((guess - label) ** 2 for guess, label in known),
        "of_their_mean": pvariance([label for _, label in known]),
    }


def _keep(out: Path, rates: dict[str, Rate | None], error: dict[str, float] | None) -> None:
    figures: dict[str, object] = {
        name.replace("-", "_").replace(" ", "_"): None if rate is None else vars(rate) for name, rate in rates.items()
    }
    figures |= {"held_out_turns": error} if error else {}
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _shown(rate: Rate | None) -> str:
    return "none" if rate is None else f"{rate.value:.1%} (95 % interval {rate.low:.1%} to {rate.high:.1%})"
