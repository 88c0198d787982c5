"""Does direct preference optimization on an agent's own stored episodes make it better, and than imitation of the best?

    python scripts/recipes/preference.py --out runs/preference

The demo's model (env=craft, a million weights) after imitation plays tasks several times. From these episodes and the
same weights train: `dpo` on pairs, a success over a failure of the same task; the same with `algo.nll=1`; and `sft` on
the successes alone (rejection sampling). All are evaluated on tasks that nothing has seen, with intervals over seeds.
`table.md` in `--out` has every seed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parent.parent))

from experiments import command, each, options
from learned_reward import PLAY

from agenttrain.eval.report import over_seeds

Row = dict[str, float]
EPISODES = 8
"""Attempts at each stored task."""
RATES = {"sft": "algo.learning_rate=3e-4", "dpo": "algo.learning_rate=2e-5", "dpo, nll": "algo.learning_rate=1e-4"}
"""Chosen on seed 7, which is not compared: of 3e-4 and 1e-3, of 1e-4 and 2e-5, and with nll the first one tried."""
DPO = ["pairs=3", "algo.batch_size=8", "algo.beta=0.1", "algo.schedule=constant"]


def main() -> None:
    parser = options(__doc__, "runs/preference", range(3))
    parser.add_argument("--tasks", type=int, default=150, help="played for the pairs")
    chosen = parser.parse_args()
    rows = each(partial(one_seed, chosen.out, chosen.tasks), chosen.seeds, chosen.jobs)
    text = table(chosen.seeds, rows)
    (chosen.out / "table.md").write_text(text)
    print(text)


def one_seed(into: Path, tasks: int, seed: int) -> Row:
    """All steps, each seed with tasks, weights and sampling of its own; success on held-out tasks by arm."""
    out = into / str(seed)
    clone = out / "clone"
    command(out / "expert", "generate-trajectories", "conf=demo", f"seed={seed}")
    data = f"data.path={out}/expert/trajectories.jsonl"
    command(clone, "sft", "conf=demo", data, f"seed={seed}", f"model.seed={seed}")
    own = [f"model.path={clone}/model", "rollout.max_tokens=64", f"task.n={tasks}", f"attempts={EPISODES}"]
    command(out / "own", "generate-trajectories", *PLAY, *own, f"seed={1000 + seed}")
    start = [f"model.path={clone}/model", f"seed={seed}"]
    stored = ["model=pretrained", f"data.path={out}/own/trajectories.jsonl"]
    command(out / "sft", "sft", *stored, *start, "algo.batch_size=4", "algo.epochs=1", RATES["sft"])
    for name, more in (("dpo", []), ("dpo, nll", ["algo.nll=1"])):
        command(folder(out, name), "dpo", f"path={out}/own", *start, *DPO, RATES[name], *more)
    return {name: success(out, name, seed) for name in ("clone", *RATES)}


def success(out: Path, name: str, seed: int) -> float:
    measured = out / f"eval-{folder(out, name).name}"
    command(measured, "eval", "conf=demo", f"model.path={folder(out, name)}/model", f"seed={seed}")
    return json.loads((measured / "eval.json").read_text())["success"]["value"]


def folder(out: Path, name: str) -> Path:
    return out / name.replace(", ", "-")


def table(seeds: Sequence[int], rows: list[Row]) -> str:
    """A row per seed, the means, and what each arm gained on the clone and on imitation, with Student's intervals."""
    names = list(rows[0])
    lines = [f"| seed | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [
        f"| {seed} | " + " | ".join(f"{row[name]:.1%}" for name in names) + " |"
        for seed, row in zip(seeds, rows, strict=True)
    ]
    lines.append("| mean | " + " | ".join(f"{fmean(row[name] for row in rows):.1%}" for name in names) + " |")
    lines += ["", "| difference in points, paired by seed | mean (95 %) |", "|---|---|"]
    for one, other in [(name, "clone") for name in names[1:]] + [(name, "sft") for name in names[2:]]:
        gained = [100 * (row[one] - row[other]) for row in rows]
        lines.append(f"| {one} - {other} | {over_seeds(gained, '+.1f')} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
