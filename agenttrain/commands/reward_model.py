"""`agenttrain reward-model`: stored trajectories -> preference pairs -> a model that ranks them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from statistics import fmean

from agenttrain import store
from agenttrain.commands.summary import summarize
from agenttrain.errors import UserError
from agenttrain.eval.statistics import Rate, mean_rate
from agenttrain.model.loaded import Model
from agenttrain.model.scorer import Scorer, on_trunk
from agenttrain.model.threads import settle_threads
from agenttrain.preferences import Pair, by_outcome, held_out, usable
from agenttrain.ranges import Count, Share, Whole
from agenttrain.trainer.reward_model import RewardModel
from agenttrain.watch import duration


def reward_model(
    model: Model,
    algo: RewardModel,
    path: str | list[str],
    out: Path,
    pairs: Count = 8,
    heldout: Share = 0.2,
    seed: Whole = 0,
    threads: Count | None = None,
) -> None:
    """Train, and leave `model/`, `report.md`, `figures.json` and `metrics.jsonl` in `out`.

    Raises:
        UserError: no pair to train on, a fault in the files, the model folder or the settings.
    """
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
    outcomes = [(t, {len(t.turns) - 1: float(t.success)}) for t in played if t.task.id not in apart]
    loaded = model.load(out, trainable=True)
    settle_threads(loaded.model, threads)
    scorer = on_trunk(loaded)
    figures = algo.train(scorer, train if algo.objective == "pairs" else outcomes, out, seed)
    measured = [pair for pair in every if pair.task in apart]
    rates = {"training pairs": ranked_right(scorer, train), "held-out pairs": ranked_right(scorer, measured)}
    _keep(out, rates)
    facts = {"episodes": f"{len(played)}", "tasks with pairs": f"{len({pair.task for pair in every})}"}
    facts |= {"pairs": f"{len(every)} (held out: {len(measured)}, of {len(apart)} tasks)"}
    facts |= {"trained on": f"{figures.examples} {'pairs' if algo.objective == 'pairs' else 'episodes'}"}
    facts |= {"left out, too long": f"{figures.too_long}"} if figures.too_long else {}
    facts |= {f"{name} ranked right": _shown(rate) for name, rate in rates.items()}
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


def _file(name: str) -> Path:
    path = Path(name)
    return path / "trajectories.jsonl" if path.is_dir() else path


def _keep(out: Path, rates: dict[str, Rate | None]) -> None:
    figures = {
        name.replace("-", "_").replace(" ", "_"): None if rate is None else vars(rate) for name, rate in rates.items()
    }
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _shown(rate: Rate | None) -> str:
    return "none" if rate is None else f"{rate.value:.1%} (95 % interval {rate.low:.1%} to {rate.high:.1%})"
