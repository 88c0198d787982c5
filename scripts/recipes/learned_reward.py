"""Does a reward model that was trained on stored trajectories rank others, and does a policy that follows it succeed?

    python scripts/recipes/learned_reward.py --out runs/learned-reward

The demo's model (env=craft, a million weights) after imitation (`sft`) plays tasks several times. A reward model learns
from pairs of these episodes, a success over a failure of the same task, and is measured on tasks kept apart. Then
`rl` follows it alone (`learned`), or, with the same settings, the verified outcome (`rlvf`). All three are evaluated on
tasks that nothing has seen. `table.md` in `--out` has every seed.
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

PLAY = ["env=craft", "env.hints=true", "task=craft", "task.depth=[2]", "task.units=1", "policy=local"]
HEAD = ["algo.learning_rate=5e-4", "pairs=3"]

Row = dict[str, float]


def main() -> None:
    parser = options(__doc__, "runs/learned-reward", range(3))
    parser.add_argument("--tasks", type=int, default=150, help="played for the reward model, 8 times each")
    chosen = parser.parse_args()
    rows = each(partial(one_seed, chosen.out, chosen.tasks), chosen.seeds, chosen.jobs)
    text = table(chosen.seeds, rows)
    (chosen.out / "table.md").write_text(text)
    print(text)


def one_seed(into: Path, tasks: int, seed: int) -> Row:
    """All steps, each seed with tasks, weights and sampling of its own."""
    out = into / str(seed)
    sft, judge = out / "sft", out / "reward-model"
    command(out / "expert", "generate-trajectories", "conf=demo", f"seed={seed}")
    data = f"data.path={out}/expert/trajectories.jsonl"
    command(sft, "sft", "conf=demo", data, f"seed={seed}", f"model.seed={seed}")
    own = [f"model.path={sft}/model", "rollout.max_tokens=64"]
    command(out / "own", "generate-trajectories", *PLAY, *own, f"task.n={tasks}", "attempts=8", f"seed={1000 + seed}")
    command(judge, "reward-model", f"path={out}/own", f"model.path={sft}/model", *HEAD, f"seed={seed}")
    rewards = {"rlvf": ["reward=rlvf"], "learned": ["reward=learned", f"reward.learned.path={judge}/model"]}
    for name, words in rewards.items():
        command(out / name, "rl", "conf=demo", f"model.path={sft}/model", *words, f"seed={seed}")
    figures = json.loads((judge / "figures.json").read_text())["held_out_pairs"]
    row = {"ranked right": figures["value"], "low": figures["low"], "high": figures["high"]}
    for name in ("sft", *rewards):
        folder = out / f"eval-{name}"
        command(folder, "eval", "conf=demo", f"model.path={out / name}/model", f"seed={seed}")
        row[name] = json.loads((folder / "eval.json").read_text())["success"]["value"]
    return row


def table(seeds: Sequence[int], rows: list[Row]) -> str:
    """A row per seed, and the means."""
    lines = [
        "| seed | held-out pairs ranked right (95 %, by task) | success: sft | rl reward=learned | rl reward=rlvf |",
        "|---|---|---|---|---|",
    ]
    for seed, row in zip(seeds, rows, strict=True):
        ranked = f"{row['ranked right']:.1%} ({row['low']:.1%} to {row['high']:.1%})"
        lines.append(f"| {seed} | {ranked} | {row['sft']:.1%} | {row['learned']:.1%} | {row['rlvf']:.1%} |")
    mean = {name: f"{fmean(row[name] for row in rows):.1%}" for name in rows[0]}
    lines.append(f"| mean | {mean['ranked right']} | {mean['sft']} | {mean['learned']} | {mean['rlvf']} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
