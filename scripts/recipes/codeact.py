"""CodeAct (arXiv 2402.01030) at tiny scale: the same questions by code, JSON and text; who needs the fewest turns?

    python scripts/recipes/codeact.py --out runs/codeact-show              # the teacher, within a minute
    python scripts/recipes/codeact.py --train --n 2000                     # the model, too: an hour of two cores

Questions about crates take a call of a tool for each crate and one for each pair of numbers. For each seed and form of
actions the scripted teacher plays; with `--train` a model of a million random weights learns from what the paper's
choice keeps of that, and plays questions that it never saw. Ten steps for all: with a call a step five are too few.
`table.md` in `--out` has the figures; what is there already is not run again.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from statistics import fmean

from agenttrain import store
from agenttrain.eval.report import over_seeds
from agenttrain.types import Trajectory

FORMS = ("code", "json", "text")
STEPS = 10
ROWS = ("turns of successes", *(f"success within {k} turns" for k in (1, 2, 3, 4, 5, STEPS)))
Figures = dict[str, float]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of tasks, errors and weights")
    parser.add_argument("--out", type=Path, default=Path("runs/codeact-show"))
    parser.add_argument("--n", type=int, default=200, help="episodes of the teacher, for each form and seed")
    parser.add_argument("--train", action="store_true", help="train a model on them, too")
    parser.add_argument("--set", nargs="*", default=[], help="settings of sft, such as algo.epochs=4")
    chosen = parser.parse_args()
    lines, minutes = [], 0.0
    for who in ("teacher", "model")[: 1 + chosen.train]:
        runs = {form: [one(who, seed, form, chosen) for seed in chosen.seeds] for form in FORMS}
        minutes += sum(run["minutes"] for seeds in runs.values() for run in seeds)
        found = {form: [run["figures"] for run in seeds] for form, seeds in runs.items()}
        lines += [f"\n{who}, {len(chosen.seeds)} seeds", "", *table(found)]
    told = "\n".join([*lines, "", f"{minutes:.1f} CPU minutes."])
    (chosen.out / "table.md").write_text(told + "\n")
    print(told)
    return 0


def one(who: str, seed: int, form: str, chosen: argparse.Namespace) -> dict:
    """`figures` of the teacher, or of a model that learned from it, and CPU `minutes`; of an earlier run if any."""
    out, began = chosen.out / f"seed-{seed}" / form, time.process_time()
    done = out / f"{who}.json"
    if done.is_file():
        return json.loads(done.read_text())
    found = figures(played(who, out, seed, form, chosen.n, chosen.set))
    run = {"figures": found, "minutes": (time.process_time() - began) / 60}
    done.write_text(json.dumps(run))
    return run


def played(who: str, out: Path, seed: int, form: str, n: int, settings: list[str]) -> list[Trajectory]:
    """What the teacher plays, or a model that has learned from that."""
    words = [f"env.actions={form}", f"env.max_steps={STEPS}", f"rollout.max_turns={STEPS}", f"seed={seed}"]
    taught = out / "teacher"
    if who == "teacher":
        agenttrain("generate-trajectories", taught, *words, f"task.n={n}", f"task.seed={seed}")
        return list(store.read(taught / "trajectories.jsonl"))
    data = f"data.path={taught}/trajectories.jsonl"
    agenttrain("sft", out / "sft", data, f"seed={seed}", f"model.seed={seed}", *settings)
    agenttrain("eval", out / "eval", *words, f"task.seed={seed}", f"model.path={out}/sft/model")
    return list(store.read(out / "eval" / "trajectories.jsonl"))


def agenttrain(command: str, out: Path, *words: str) -> None:
    """A command as a user would type it, in this process: starting one costs more than most of these steps."""
    from agenttrain import cli

    line = ["conf=codeact_tiny", *words, f"out={out}"]
    print(f"\n$ agenttrain {command} {' '.join(line)}", flush=True)
    cli.run(command, line, None, None, False)


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
