"""Does `agenttrain card` reject bad reward functions before a step is trained, and does an accepted one train faster?

    python scripts/recipes/card.py     # five seeds, half an hour of two cores

Nine functions in `card_candidates/`, five of them bad, are judged on the stored episodes of an expert who knows a part
of corridors of 15 rooms, in each of which one of two items leads a room back. A single mistake is forgiven, so that he
and his clone (which scripts/credit_curves.py makes of these episodes) seldom succeed. Then `rl` follows the sparse
outcome (`reward=rlvf`) or the accepted function alone (`reward=card`), with the same start, corridors, seed, credit and
learning rate. `table.md` in `--out` has what was found. A step that is complete in `--out` is not repeated.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parent.parent))

from credit_curves import LONG, clone
from curves_report import FINAL, LAST, Run, budget, interval, sooner, success, thousands
from experiments import command, each, options

from agenttrain import store

CANDIDATES = Path(__file__).parent / "card_candidates"
KNOWS = "policy.knows=0.65"
"""Of who is cloned. By one who knows less the model is not taught to look where it is."""
CORRIDORS = [LONG, "task.items=2", "env.slack=1.1"]
"""17 steps for 15 rooms."""
CREDIT = ["credit=turn", "credit.gamma=0.8"]
PLACES = 32
"""Episodes of a step of training, side by side."""
LEVEL = 0.25
"""The set success."""


@dataclass(frozen=True)
class Judged:
    """Nine functions."""

    accepted: list[str]
    rejected: list[str]
    chosen: str
    stored: float
    """Success in the episodes that they are judged by."""


def main() -> None:
    parser = options(__doc__, "runs/card-show", range(5))
    parser.add_argument("--steps", type=int, default=80, help="of training")
    chosen = parser.parse_args()
    seeds = chosen.seeds
    each(partial(one_seed, chosen.out, chosen.steps), seeds, chosen.jobs)
    runs = {arm: [Run("long", arm, 0.0, s, chosen.out / str(s) / arm) for s in seeds] for arm in ("rlvf", "card")}
    text = table(runs["rlvf"], runs["card"], [judged(chosen.out, seed) for seed in seeds])
    (chosen.out / "table.md").write_text(text, encoding="utf-8")
    print(text)


def one_seed(out: Path, steps: int, seed: int) -> None:
    """All steps, each seed with corridors, weights and sampling of its own."""
    clone(out, "clone", [*CORRIDORS, KNOWS], seed)
    stored, model, folder = out / f"clone-{seed}" / "loops", out / f"clone-{seed}" / "sft/model", out / str(seed)
    command(folder / "judged", "card", f"path={stored}", f"candidates={CANDIDATES}", f"seed={seed}")
    same = ["conf=corridor", "env.kind=loops", *CORRIDORS, *CREDIT, f"algo.steps={steps}", "save_trajectories=false"]
    same += [f"model.path={model}", f"task.seed={seed}", f"seed={seed}"]
    command(folder / "card", "rl", *same, "reward=[card]", f"reward.card.path={folder}/judged/reward.py")
    command(folder / "rlvf", "rl", *same)


def judged(out: Path, seed: int) -> Judged:
    stored = store.read(out / f"clone-{seed}/loops/trajectories.jsonl")
    figures = json.loads((out / f"{seed}/judged/figures.json").read_text())
    names: dict[bool, list[str]] = {True: [], False: []}
    for verdict in figures["candidates"]:
        names[verdict["accepted"]].append(verdict["name"].removesuffix(".py"))
    chosen = figures["chosen"].removesuffix(".py")
    return Judged(names[True], names[False], chosen, fmean(episode.success for episode in stored))


def table(sparse: Sequence[Run], dense: Sequence[Run], found: Sequence[Judged]) -> str:
    """A row per seed, then the difference of the two by seed."""
    end = budget([*sparse, *dense])
    columns = [
        "seed",
        "stored success",
        "accepted",
        "rejected",
        "trained by",
        "first success",
        "last by rlvf",
        "by card",
    ]
    columns += [f"thousand steps to {LEVEL:.0%}: rlvf", "card"]
    lines = [f"{end * PLACES / 1000:.1f} thousand environment steps; {LEVEL:.0%} over {LAST} steps of training.\n"]
    lines += [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for one, *runs in zip(found, sparse, dense, strict=True):
        cells = [str(runs[0].seed), f"{one.stored:.3f}", ", ".join(one.accepted), ", ".join(one.rejected), one.chosen]
        cells.append(f"{fmean(rate for run in runs for _, rate in run.curve[:LAST]):.3f}")
        cells += [f"{fmean(rate for _, rate in run.curve[-LAST:]):.3f}" for run in runs]
        cells += [thousands(run.curve, LEVEL, PLACES) for run in runs]
        lines.append(f"| {' | '.join(cells)} |")
    titles = ("difference, paired by seed", "mean success (95 %)", "final success (95 %)", f"sooner at {LEVEL:.0%}")
    lines += ["", f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    gains = [
        [success(a.curve, start, end) - success(b.curve, start, end) for a, b in zip(dense, sparse, strict=True)]
        for start in (0.0, FINAL * end)
    ]
    first = sooner([run.curve for run in dense], [run.curve for run in sparse], LEVEL)
    lines.append(f"| card - rlvf | {' | '.join(map(interval, gains))} | {first} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
