"""FireAct (arXiv 2310.05915) at tiny scale: does a student of several methods search less, and bear noise better?

    python scripts/recipes/fireact.py --out runs/fireact-show

For each seed a world is invented. A base of random weights first learns its facts by heart, one question a fact; then
it imitates as many solved episodes of a scripted teacher by ReAct alone, and by all three methods. The base and both
students answer questions about names that the teacher's episodes never ask about. `table.md` in `--out` has the
figures.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parent.parent))

from experiments import command, cpu_minutes, each, options

from agenttrain import store
from agenttrain.eval.report import over_seeds
from agenttrain.types import Trajectory

CONF = "conf=fireact_tiny"
ALONE = ["policy.cot=0", "policy.reflexion=0"]
BY_HEART = ["policy.react=0", "policy.cot=1", "policy.reflexion=0", "task.split=all", "task.one_hop=1", "task.n=null"]
TEACHERS = {"ReAct alone": ALONE, "all methods": []}
NOISE = {"clean": 0.0, "half noisy": 0.5}
BASE = "untrained"
Figures = dict[str, float]


def main() -> int:
    parser = options(__doc__, "runs/fireact-show", range(3))
    parser.add_argument("--size", type=int, default=30, help="people in the world, 3.5 passages for each")
    parser.add_argument("--n", type=int, default=300, help="questions put to each teacher")
    parser.add_argument("--set", nargs="*", default=[], help="settings of both sft, such as algo.max_steps=2")
    chosen = parser.parse_args()
    found = each(partial(one_seed, chosen), chosen.seeds, chosen.jobs)
    minutes = sum(cpu_minutes(chosen.out / f"seed-{seed}") for seed in chosen.seeds)
    told = "\n".join([*table(found), "", *claims(found), "", f"{len(found)} seeds, {minutes:.1f} CPU minutes."])
    (chosen.out / "table.md").write_text(told + "\n")
    print(told)
    return 0


def one_seed(chosen: argparse.Namespace, seed: int) -> dict[str, Figures]:
    """Student and condition -> figures."""
    out = chosen.out / f"seed-{seed}"
    world = [f"task.world={seed}", f"task.size={chosen.size}", "task.yes_no=0", f"seed={seed}"]
    knows = [f"policy.base.world={seed}", f"policy.base.size={chosen.size}"]
    command(out / "facts", "generate-trajectories", CONF, *world, *knows, *BY_HEART)
    train(out / "base", out / "facts", seed, chosen.set, "model=tiny_0_2m", f"model.seed={seed}", "algo.epochs=60")
    models = {BASE: out / "base"}
    for number, (name, shares) in enumerate(TEACHERS.items()):
        taught, words = out / f"teacher-{number}", [f"task.n={chosen.n}", "task.one_hop=0.4"]
        command(taught, "generate-trajectories", CONF, *world, *knows, *words, *shares)
        models[name] = out / f"sft-{number}"
    records = same_number([out / f"teacher-{number}" for number in range(len(TEACHERS))])
    for model, source in zip(list(models.values())[1:], records, strict=True):
        words = ["model=pretrained", f"model.path={out}/base/model", "algo.epochs=20"]
        train(model, source, seed, chosen.set, *words)
    figures: dict[str, Figures] = {}
    for number, (name, model) in enumerate(models.items()):
        for condition, noise in NOISE.items():
            folder = out / f"eval-{number}-{noise}"
            asked = [*world, "task.n=null", "task.one_hop=0.4", f"env.noise={noise}", "policy.temperature=1"]
            command(folder, "eval", CONF, f"model.path={model}/model", *asked, "attempts=4")
            figures[f"{name} | {condition}"] = read(episodes(folder))
    return figures


def same_number(teachers: list[Path]) -> list[Path]:
    """A folder in each teacher's with as many of its solved episodes as the teacher with the fewest has."""
    solved = [[one for one in episodes(folder) if one.success] for folder in teachers]
    least, chosen = min(map(len, solved)), [folder / "solved" for folder in teachers]
    for folder, played in zip(chosen, solved, strict=True):
        with store.Writer(folder / "trajectories.jsonl") as writer:
            for one in played[:least]:
                writer.write(one)
    return chosen


def train(out: Path, source: Path, seed: int, settings: list[str], *words: str) -> None:
    shape = ["algo.learning_rate=1.0e-2", "algo.batch_size=16", "algo.heldout=0.02"]
    command(out, "sft", CONF, f"data.path={source}/trajectories.jsonl", f"seed={seed}", *shape, *words, *settings)


def episodes(folder: Path) -> list[Trajectory]:
    return list(store.read(folder / "trajectories.jsonl"))


def read(played: list[Trajectory]) -> Figures:
    """For one look-up and for two: success in percent, and turns per episode."""
    figures = {}
    for hops, words in ((1, "one look-up"), (2, "two look-ups")):
        ours = [one for one in played if one.task.data["hops"] == hops]
        figures[f"{words}: success, %"] = 100 * fmean(bool(one.success) for one in ours)
        figures[f"{words}: turns"] = fmean(len(one.turns) for one in ours)
    return figures


def table(found: list[dict[str, Figures]]) -> list[str]:
    """One row for each student and condition: the mean of each figure over the seeds, with its 95 % interval."""
    rows = list(next(iter(found[0].values())))
    lines = ["| student | searches | " + " | ".join(rows) + " |", "|---|---|" + "---|" * len(rows)]
    for name in found[0]:
        cells = [over_seeds([one[name][row] for one in found], low=0, high=100) for row in rows]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def claims(found: list[dict[str, Figures]]) -> list[str]:
    """What the paper's claims come to within a seed: the mean of each difference, with its 95 % interval."""
    success, turns = "two look-ups: success, %", "one look-up: turns"
    alone, mixed = TEACHERS

    def difference(row: str, one: str, other: str) -> list[float]:
        return [figures[one][row] - figures[other][row] for figures in found]

    lost = {name: difference(success, f"{name} | clean", f"{name} | half noisy") for name in TEACHERS}
    rows = {
        f"success after two look-ups, points: {alone} - {BASE}": (success, f"{alone} | clean", f"{BASE} | clean"),
        f"the same: {mixed} - {BASE}": (success, f"{mixed} | clean", f"{BASE} | clean"),
        f"turns where one look-up is enough: {mixed} - {alone}": (turns, f"{mixed} | clean", f"{alone} | clean"),
    }
    measured = {what: difference(*of) for what, of in rows.items()}
    measured |= {f"points lost to noise after two look-ups: {name}": values for name, values in lost.items()}
    measured[f"the same: {mixed} - {alone}"] = [a - b for a, b in zip(lost[mixed], lost[alone], strict=True)]
    lines = [f"| {what} | {over_seeds(values, low=-100, high=100)} |" for what, values in measured.items()]
    return ["| difference | mean |", "|---|---|", *lines]


if __name__ == "__main__":
    sys.exit(main())
