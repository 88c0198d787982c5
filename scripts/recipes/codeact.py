"""CodeAct (arXiv 2402.01030) at tiny scale: the same questions by code, JSON and text; who needs the fewest turns?

    python scripts/recipes/codeact.py --out runs/codeact-show              # the teacher, within a minute
    python scripts/recipes/codeact.py --train --n 2000                     # the model, too: an hour of two cores

Questions about crates take a call of a tool for each crate and one for each pair of numbers. For each seed and form of
actions the scripted teacher plays; with `--train` a model of a million random weights learns from what the paper's
choice keeps of that, and plays questions that it never saw. Ten steps for all: with a call a step five are too few.
`table.md` in `--out` has the figures.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parent.parent))

from experiments import command, cpu_minutes, each, options

from agenttrain import store
from agenttrain.eval.report import over_seeds
from agenttrain.types import Trajectory

CONF = "conf=codeact_tiny"
FORMS = ("code", "json", "text")
STEPS = 10
ROWS = ("turns of successes", *(f"success within {k} turns" for k in (1, 2, 3, 4, 5, STEPS)))
Figures = dict[str, float]


def main() -> int:
    parser = options(__doc__, "runs/codeact-show", range(3))
    parser.add_argument("--n", type=int, default=200, help="episodes of the teacher, for each form and seed")
    parser.add_argument("--train", action="store_true", help="train a model on them, too")
    parser.add_argument("--set", nargs="*", default=[], help="settings of sft, such as algo.epochs=4")
    chosen = parser.parse_args()
    lines = []
    for who in ("teacher", "model")[: 1 + chosen.train]:
        runs = [(who, seed, form) for form in FORMS for seed in chosen.seeds]
        found = each(lambda run: figures(played(chosen, *run)), runs, chosen.jobs)
        by_form = {form: [one for (_, _, of), one in zip(runs, found, strict=True) if of == form] for form in FORMS}
        lines += [f"\n{who}, {len(chosen.seeds)} seeds", "", *table(by_form)]
    minutes = sum(cpu_minutes(chosen.out / f"seed-{seed}") for seed in chosen.seeds)
    told = "\n".join([*lines, "", f"{minutes:.1f} CPU minutes."])
    (chosen.out / "table.md").write_text(told + "\n")
    print(told)
    return 0


def played(chosen: argparse.Namespace, who: str, seed: int, form: str) -> list[Trajectory]:
    """What the teacher plays, or a model that has learned from that."""
    out = chosen.out / f"seed-{seed}" / form
    words = [f"env.actions={form}", f"env.max_steps={STEPS}", f"rollout.max_turns={STEPS}", f"seed={seed}"]
    taught = out / "teacher"
    if who == "teacher":
        command(taught, "generate-trajectories", CONF, *words, f"task.n={chosen.n}", f"task.seed={seed}")
        return list(store.read(taught / "trajectories.jsonl"))
    data = f"data.path={taught}/trajectories.jsonl"
    command(out / "sft", "sft", CONF, data, f"seed={seed}", f"model.seed={seed}", *chosen.set)
    command(out / "eval", "eval", CONF, *words, f"task.seed={seed}", f"model.path={out}/sft/model")
    return list(store.read(out / "eval" / "trajectories.jsonl"))


def figures(episodes: list[Trajectory]) -> Figures:
    """Turns of the successful episodes, and the share of all that had succeeded after k turns, in percent."""
    turns = [len(episode.turns) for episode in episodes if episode.success]
    within = {k: 100 * sum(count <= k for count in turns) / len(episodes) for k in (1, 2, 3, 4, 5, STEPS)}
    return dict(zip(ROWS, (fmean(turns) if turns else math.nan, *within.values()), strict=True))


def table(found: dict[str, list[Figures]]) -> list[str]:
    """One row a figure, one column a form of actions, then what code has more than its rivals with the same seed: the
    mean over the seeds, with its 95 % interval."""
    rivals = [form for form in found if form != "code"]
    lines = ["| | " + " | ".join([*found, *(f"code - {rival}" for rival in rivals)]) + " |"]
    lines.append("|---|" + "---|" * (len(found) + len(rivals)))
    for row in ROWS:
        values = {form: [figures[row] for figures in seeds] for form, seeds in found.items()}
        cells = [over_seeds(some, low=0, high=100) for some in values.values()]
        for rival in rivals:
            more = [ours - theirs for ours, theirs in zip(values["code"], values[rival], strict=True)]
            cells.append(over_seeds(more, low=-100, high=100))
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
