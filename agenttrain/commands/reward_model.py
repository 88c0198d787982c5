"""`agenttrain reward-model`: stored trajectories -> preference pairs or labelled turns -> a model that scores them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from statistics import fmean, pvariance

from agenttrain import store
from agenttrain.commands.rescore import identity
from agenttrain.commands.summary import summarize
from agenttrain.commands.turn_values import read_values
from agenttrain.errors import UserError
from agenttrain.eval.statistics import Rate, mean_rate
from agenttrain.model.loaded import Model
from agenttrain.model.scorer import Scorer, on_trunk
from agenttrain.model.threads import settle_threads
from agenttrain.preferences import Pair, by_outcome, held_out, usable
from agenttrain.ranges import Count, Share, Whole
from agenttrain.reward.logits import probability
from agenttrain.trainer.reward_model import Labelled, RewardModel
from agenttrain.types import Trajectory
from agenttrain.watch import duration


def reward_model(
    model: Model,
    algo: RewardModel,
    path: str | list[str],
    out: Path,
    values: Path | None = None,
    pairs: Count = 8,
    heldout: Share = 0.2,
    seed: Whole = 0,
    threads: Count | None = None,
) -> None:
    """Train, and leave `model/`, `report.md`, `figures.json` and `metrics.jsonl` in `out`.

    Raises:
        UserError: no pair to train on, a fault in the files, the model folder or the settings.
    """
    if (values is not None) != (algo.objective == "turns"):
        raise UserError("algo.objective=turns and values=... (of agenttrain turn-values) belong together: set both.")
    model.check()
    files = map(_file, [path] if isinstance(path, str) else path)
    played = usable(chain.from_iterable(map(store.read, files)))
    every = by_outcome(played, pairs, seed)
    apart = held_out((pair.task for pair in every), heldout, seed)
    train = [pair for pair in every if pair.task not in apart]
    if not train:
        raise UserError(
            f"{path}: no task has a success and a failure among its {len(played)} played episodes.\n"
            "Play each task several times: agenttrain generate-trajectories attempts=4"
        )
    labelled = _labelled([t for t in played if t.task.id not in apart], values)
    if not labelled:
        raise UserError(f"values={values} has none of the training trajectories of {path}: value more of these.")
    loaded = model.load(out, trainable=True)
    settle_threads(loaded.model, threads)
    scorer = on_trunk(loaded)
    figures = algo.train(scorer, train if algo.objective == "pairs" else labelled, out, seed)
    measured = [pair for pair in every if pair.task in apart]
    rates = {"training pairs": ranked_right(scorer, train), "held-out pairs": ranked_right(scorer, measured)}
    error = None
    if values is not None:
        error = turn_error(scorer, _labelled([t for t in played if t.task.id in apart], values))
    _keep(out, rates, error)
    facts = {"episodes": f"{len(played)}", "tasks with pairs": f"{len({pair.task for pair in every})}"}
    facts |= {"pairs": f"{len(every)} (held out: {len(measured)}, of {len(apart)} tasks)"}
    facts |= {"trained on": f"{figures.examples} {'pairs' if algo.objective == 'pairs' else 'episodes'}"}
    facts |= {"left out, too long": f"{figures.too_long}"} if figures.too_long else {}
    facts |= {f"{name} ranked right": _shown(rate) for name, rate in rates.items()}
    if error is not None:
        text = f"{error['squared_error']:.4f} (of their mean: {error['of_their_mean']:.4f})"
        facts["held-out turns, squared error"] = text
    if figures.train_loss is not None:
        facts["training loss at the end"] = f"{figures.train_loss:.4f} nats"
    facts |= {"steps": f"{figures.steps}", "time": duration(figures.seconds)}
    summarize(out, loaded.name, "a reward model of its trajectories", facts)


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


def _labelled(trajectories: Sequence[Trajectory], values: Path | None) -> list[Labelled]:
    """Those whose turns have values; without `values`, all of them with the outcome on their last turn."""
    if values is None:
        return [(t, {len(t.turns) - 1: float(t.success)}) for t in trajectories]
    known = read_values(values)
    return [(t, known[identity(t)]) for t in trajectories if identity(t) in known]


def _file(name: str) -> Path:
    path = Path(name)
    return path / "trajectories.jsonl" if path.is_dir() else path


def _keep(out: Path, rates: dict[str, Rate | None], error: dict[str, float] | None) -> None:
    figures: dict[str, object] = {
        name.replace("-", "_").replace(" ", "_"): None if rate is None else vars(rate) for name, rate in rates.items()
    }
    figures |= {"held_out_turns": error} if error else {}
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _shown(rate: Rate | None) -> str:
    return "none" if rate is None else f"{rate.value:.1%} (95 % interval {rate.low:.1%} to {rate.high:.1%})"
