"""Does `agenttrain card` reject bad reward functions before a step is trained, and does an accepted one train faster?

    python scripts/recipes/card.py     # three seeds

Nine functions in `card_candidates/`, five of them bad, are judged on episodes of a weak clone in corridors
(scripts/credit_curves.py makes the clone). Then `rl` follows the sparse outcome (`reward=rlvf`) or the accepted
function alone (`reward=card`), with the same start, corridors, seed and learning rate. `table.md` in `--out` has what
was found. A step that is complete in `--out` is not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parent.parent))
from credit_curves import clone, command

CANDIDATES = Path(__file__).parent / "card_candidates"
BED = ["env.kind=loops", "env.slack=2.5"]
EPISODES = 32
"""Of a step of training."""
WINDOW = 5
"""Steps of training that success is the mean of."""

Curve = list[tuple[float, float]]
"""Step by step: environment steps so far, and the share of the step's episodes that succeed."""


@dataclass(frozen=True)
class Found:
    """Of one seed."""

    accepted: list[str]
    rejected: list[str]
    chosen: str
    sparse: Curve
    dense: Curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="number of them, from 0")
    parser.add_argument("--out", type=Path, default=Path("runs/card-show"))
    parser.add_argument("--steps", type=int, default=30, help="of training")
    parser.add_argument("--jobs", type=int, default=2, help="seeds at a time")
    chosen = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with ThreadPoolExecutor(chosen.jobs) as pool:
        found = list(pool.map(partial(one_seed, chosen.out, chosen.steps), range(chosen.seeds)))
    text = table(found)
    (chosen.out / "table.md").write_text(text, encoding="utf-8")
    print(text)


def one_seed(out: Path, steps: int, seed: int) -> Found:
    """All steps, each seed with corridors, weights and sampling of its own."""
    clone(out, "clone", [], seed)
    model, folder = f"model.path={out}/clone-{seed}/sft/model", out / str(seed)
    play = ["env=corridor", *BED, "task.n=2", f"task.seed={seed}", "policy=local", model, "rollout.max_tokens=8"]
    command(folder / "own", "generate-trajectories", *play, "attempts=100", f"seed={1000 + seed}")
    command(folder / "card", "card", f"path={folder}/own", f"candidates={CANDIDATES}", f"seed={seed}")
    same = ["conf=corridor", *BED, model, f"task.seed={seed}", f"seed={seed}"]
    same += [f"algo.steps={steps}", "save_trajectories=false"]
    command(folder / "rlvf", "rl", *same)
    command(folder / "dense", "rl", *same, "reward=[card]", f"reward.card.path={folder}/card/reward.py")
    figures = json.loads((folder / "card" / "figures.json").read_text())
    names: dict[bool, list[str]] = {True: [], False: []}
    for judged in figures["candidates"]:
        names[judged["accepted"]].append(judged["name"].removesuffix(".py"))
    return Found(names[True], names[False], figures["chosen"], curve(folder / "rlvf"), curve(folder / "dense"))


def curve(folder: Path) -> Curve:
    """Of a run of `rl`."""
    points, made = [], 0.0
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        if "success" in row:
            made += row["turns"] * EPISODES
            points.append((made, row["success"]))
    return points


def reached(some: Curve, level: float) -> float | None:
    """Environment steps until `WINDOW` steps of training succeed as often as `level`."""
    for end in range(WINDOW, len(some) + 1):
        if fmean(rate for _, rate in some[end - WINDOW : end]) >= level:
            return some[end - 1][0]
    return None


def table(found: list[Found]) -> str:
    """A row per seed. The level is the sparse reward's success at its end; steps are the environment's."""
    columns = (
        "seed",
        "accepted",
        "rejected",
        "trained by",
        "success of rlvf",
        "of card",
        "env steps to it: rlvf",
        "card",
    )
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for seed, one in enumerate(found):
        level, last = (fmean(rate for _, rate in some[-WINDOW:]) for some in (one.sparse, one.dense))
        own, other = reached(one.sparse, level), reached(one.dense, level)
        cells = [str(seed), ", ".join(one.accepted), ", ".join(one.rejected), one.chosen.removesuffix(".py")]
        cells += [f"{level:.3f}", f"{last:.3f}", f"{own:,.0f}", f"{other:,.0f}" if other else "never"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
