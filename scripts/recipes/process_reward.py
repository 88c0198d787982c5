"""Does a process reward beside the verified outcome reach a set success in fewer environment steps than the outcome?

    python scripts/recipes/process_reward.py --out runs/process-reward

The weak clones of scripts/credit_curves.py play corridors of 20 steps (env=corridor). A process reward model learns
from these episodes: from the outcome of each one, at every turn of it (`outcomes`), or from what became of four
continuations of every turn of some (`continuations`). It is judged on further episodes. Then `rl` starts from the
clone, with and without it, all else equal. Steps of the environment that the labels took are counted. What is complete
in --out is not made again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from statistics import fmean, pvariance

sys.path.insert(0, str(Path(__file__).parent.parent))

from credit_curves import clone
from curves_report import LAST, Point, Run, budget, delayed, interval, sooner, success, thousands
from experiments import command, each, options

from agenttrain import store
from agenttrain.types import Trajectory

PLAY = ["env=corridor", "task=corridor", "task.n=2", "policy=local", "rollout.max_tokens=8"]
LABELS = {"outcomes": ["continuations=0"], "continuations": ["continuations=4", "episodes=64"]}
HEAD = ["algo.learning_rate=3e-3", "algo.batch_size=4", "heldout=0", "pairs=1"]
PASSES = {"outcomes": 20, "continuations": 40}
"""Over the labelled episodes: of few there must be more, or the model does not begin to read the rooms."""
TURN = ["credit=turn", "credit.gamma=0.8"]
BASES = {"grpo": ["credit=grpo"], "turn": TURN}
"""Credit of the outcome alone; the second is that of the process reward."""
PLACES = 32
"""Episodes of a step of training, side by side."""
TARGET = 0.5
"""The set success."""
K = "8"


@dataclass(frozen=True)
class Judged:
    """A process reward model, and what it took to label its turns."""

    steps: int
    """Of the environment, the episodes that were labelled included."""
    before: float
    """Success in those episodes."""
    error: float
    """Mean squared error, against the outcome of further episodes, of what it says after all turns but the last."""
    error_of_mean: float
    one: float
    """Success of one attempt, of the best of `K` by the model, and of any of `K`."""
    best: float
    some: float


def main() -> None:
    parser = options(__doc__, "runs/process-reward", range(5))
    parser.add_argument("--steps", type=int, default=30, help="of training, in each run of rl")
    chosen = parser.parse_args()
    seeds = chosen.seeds
    each(partial(one_seed, chosen.out, chosen.steps), seeds, chosen.jobs)
    judged = {name: [judge(chosen.out / str(seed), name) for seed in seeds] for name in LABELS}
    runs = {
        arm: [Run("loops", arm, 0.0, s, chosen.out / str(s) / f"rl-{arm}") for s in seeds] for arm in (*BASES, *LABELS)
    }
    text = table(runs, judged)
    (chosen.out / "table.md").write_text(text, encoding="utf-8")
    print(text)


# -- what is run ------------------------------------------------------------------------------------------------------


def one_seed(out: Path, steps: int, seed: int) -> None:
    """All steps; corridors, weights and sampling are the seed's own."""
    clone(out, "clone", [], seed)
    start, here = f"model.path={out}/clone-{seed}/sft/model", out / str(seed)
    for name, first in (("own", 1000), ("further", 2000)):
        seeds = [f"task.seed={seed}", f"seed={first + seed}"]
        command(here / name, "generate-trajectories", *PLAY, start, *seeds, "attempts=64")
    arms = dict(BASES)
    for name, labels in LABELS.items():
        values, model = here / f"values-{name}", here / f"prm-{name}"
        play = ["env=corridor", "policy=local", "rollout.max_tokens=8", start]
        command(values, "turn-values", f"path={here}/own", *play, *labels, f"seed={seed}")
        learn = ["algo.objective=turns", f"values={values}", f"algo.epochs={PASSES[name]}", *HEAD, f"seed={seed}"]
        command(model, "reward-model", f"path={here}/own", start, *learn)
        read = f"reward.prm.path={model}/model"
        command(here / f"judged-{name}", "rescore", f"path={here}/further", "reward=prm", read)
        arms[name] = ["reward=[rlvf,prm]", read, "reward.prm.form=shaping", *TURN]
    for name, words in arms.items():
        length = [f"algo.steps={steps}", "save_trajectories=false"]
        command(here / f"rl-{name}", "rl", "conf=corridor", start, f"task.seed={seed}", f"seed={seed}", *words, *length)


# -- what is found ----------------------------------------------------------------------------------------------------


def judge(folder: Path, name: str) -> Judged:
    own = list(store.read(folder / "own/trajectories.jsonl"))
    steps = json.loads((folder / f"values-{name}/figures.json").read_text())["environment_steps"]
    best = json.loads((folder / f"judged-{name}/figures.json").read_text())["best_of"]
    return Judged(
        sum(len(t.turns) for t in own) + steps,
        fmean(t.success for t in own),
        *errors(list(store.read(folder / f"judged-{name}/trajectories.jsonl"))),
        best["1"]["any"]["value"],
        best[K]["chosen"]["value"],
        best[K]["any"]["value"],
    )


def errors(judged: Sequence[Trajectory]) -> tuple[float, float]:
    """Of the probabilities, which scores of `form=progress` sum to, and of the mean outcome of these turns."""
    known = [(p, t.success) for t in judged for p in list(accumulate(t.scores["prm"]))[:-1]]
    return fmean((p - outcome) ** 2 for p, outcome in known), pvariance([float(outcome) for _, outcome in known])


def table(runs: Mapping[str, Sequence[Run]], judged: Mapping[str, Sequence[Judged]]) -> str:
    """Curves, their differences by seed, and the models."""
    end = budget([run for own in runs.values() for run in own])
    curves: dict[str, list[list[Point]]] = {arm: [run.curve for run in own] for arm, own in runs.items()}
    for name, models in judged.items():
        labels = [(judged.steps / PLACES, judged.before) for judged in models]
        curves[f"{name}, labels counted"] = [delayed(c, *own) for c, own in zip(curves[name], labels, strict=True)]
    whole = {arm: [success(curve, 0, end) for curve in own] for arm, own in curves.items()}
    last = {arm: [success(curve, 0.8 * end, end) for curve in own] for arm, own in curves.items()}
    lines = [
        f"{end * PLACES / 1000:.1f} thousand environment steps; {TARGET:.0%} over {LAST} steps of training.\n",
        f"| rl | mean success (95 %) | final success (95 %) | thousand steps to {TARGET:.0%}, by seed |",
        "|---|---|---|---|",
    ]
    for arm, own in curves.items():
        steps = ", ".join(thousands(curve, TARGET, PLACES) for curve in own)
        lines.append(f"| {arm} | {interval(whole[arm], '')} | {interval(last[arm], '')} | {steps} |")
    titles = ("difference, paired by seed", "mean success (95 %)", "seeds above", "final success (95 %)")
    titles += (f"sooner at {TARGET:.0%}",)
    lines += ["", f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    for one, other in [(arm, base) for arm in curves if arm not in BASES for base in BASES]:
        gains = [a - b for a, b in zip(whole[one], whole[other], strict=True)]
        ends = [a - b for a, b in zip(last[one], last[other], strict=True)]
        above = f"{sum(gain > 0 for gain in gains)} of {len(gains)}"
        first = sooner(curves[one], curves[other], TARGET)
        lines.append(f"| {one} - {other} | {interval(gains)} | {above} | {interval(ends)} | {first} |")
    lines += ["", f"| labels | thousand steps | squared error | of the mean | one attempt | best of {K} | any of {K} |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for name, models in judged.items():
        columns = ("error", "error_of_mean", "one", "best", "some")
        means = " | ".join(f"{fmean(getattr(model, column) for model in models):.3f}" for column in columns)
        lines.append(f"| {name} | {fmean(model.steps for model in models) / 1000:.1f} | {means} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
