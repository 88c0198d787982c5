"""What of an agent's skill is left when tools change, and what does training in several environments do in another?

    python scripts/recipes/generalisation.py --out runs/generalisation

A model of a million random weights (`one`) imitates an expert of env=craft and is evaluated on tasks that it has not
seen: as they are, and with each change of env=perturbed. Another (`three`) imitates as many episodes, a third each of
craft, sql and hopqa; both are evaluated in these three and in search, which neither has seen. `table.md` in `--out` has
the means over seeds, each seed with tasks and weights of its own, and Student's 95 % interval of paired differences.
"""

from __future__ import annotations

import json
import math
import sys
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parent.parent))

from experiments import command, each, options

from agenttrain.eval.report import over_seeds

CHANGES = {
    "none": [],
    "other order": ["env.shuffle=true"],
    "descriptions paraphrased": ["env.descriptions=paraphrased"],
    "descriptions left out": ["env.descriptions=none"],
    "3 distractors": ["env.distractors=3"],
    "one tool fails in 20 %": ["env.faulty=0.2"],
    "20 % noise": ["env.noise=0.2"],
    "other names": ["env.rename=true"],
}
SEEN, UNSEEN = ("craft", "sql", "hopqa"), "search"
EASY = ["task.depth=[2]", "task.units=1"]
"""Of craft: goals of two levels."""
TINY = ["model=tiny", "algo.epochs=1", "algo.learning_rate=1.5e-3", "algo.batch_size=4", "algo.warmup=20"]
SAMPLING = ["rollout.max_tokens=64", "rollout.max_turns=20", "policy.temperature=0"]

Figures = dict[str, dict[str, float]]
"""Condition -> success and share of invalid calls, of one seed."""


def main() -> None:
    parser = options(__doc__, "runs/generalisation", range(3))
    parser.add_argument("--episodes", type=int, default=1200, help="that each model imitates")
    parser.add_argument("--tasks", type=int, default=60, help="of each evaluation; sql has 69")
    chosen = parser.parse_args()
    found = each(partial(one_seed, chosen), chosen.seeds, chosen.jobs)
    text = f"{table(found, [f'craft, {name}' for name in CHANGES], 'craft, none')}\n"
    for env in (*SEEN, UNSEEN):
        text += f"\n{table(found, [f'one in {env}', f'three in {env}'], f'one in {env}')}\n"
    (chosen.out / "table.md").write_text(text)
    print(text)


def one_seed(chosen: Namespace, seed: int) -> Figures:
    """Both models, and all that they are asked."""
    out, episodes, tasks = chosen.out / str(seed), chosen.episodes, chosen.tasks
    for env, n in (("craft", episodes), *((env, episodes // len(SEEN)) for env in SEEN)):
        easy = EASY if env == "craft" else []
        hints = ["env.hints=true"] if env == "craft" else []
        per_task = math.ceil(n / 300)  # sql has few questions
        words = [f"env={env}", *hints, *easy, f"task.n={n // per_task}", f"attempts={per_task}", f"task.seed={seed}"]
        command(out / f"{env}-{n}", "generate-trajectories", *words, f"seed={seed}", "policy.error=0.1")
    data = {"one": [f"craft-{episodes}"], "three": [f"{env}-{episodes // len(SEEN)}" for env in SEEN]}
    for name, folders in data.items():
        paths = ",".join(f"{out / folder}/trajectories.jsonl" for folder in folders)
        kept = [f"data.path=[{paths}]", "data.success=null"]
        command(out / name, "sft", *TINY, *kept, f"seed={seed}", f"model.seed={seed}")
    found: Figures = {}
    for name, change in CHANGES.items():
        words = ["env=perturbed", "env.base=craft", "env.base.hints=true", *change, f"env.seed={seed}", *EASY]
        found[f"craft, {name}"] = evaluated(out, "one", f"craft-{name.replace(' ', '-')}", tasks, seed, words)
    for env in (*SEEN, UNSEEN):
        words = [f"env={env}", *(["env.hints=true", *EASY] if env == "craft" else [])]
        for model in data:
            found[f"{model} in {env}"] = evaluated(out, model, f"{model}-in-{env}", tasks, seed, words)
    return found


def evaluated(out: Path, model: str, name: str, tasks: int, seed: int, words: Sequence[str]) -> dict[str, float]:
    """Success and invalid calls on held-out tasks."""
    folder = out / f"eval-{name.replace('%', '')}"
    sampled = [f"model.path={out / model}/model", f"task.n={tasks}", *SAMPLING, f"seed={seed}"]
    command(folder, "eval", *words, *sampled)
    told = json.loads((folder / "eval.json").read_text())
    return {"success": told["success"]["value"], "invalid": told["figures"]["invalid_calls"] or 0.0}


def table(found: Sequence[Figures], names: Sequence[str], reference: str) -> str:
    """Means over seeds, with the difference to the reference."""
    lines = ["| | success | points to the first (95 %) | invalid calls |", "|---|---|---|---|"]
    for name in names:
        success = [seed[name]["success"] for seed in found]
        points = [100 * (s[name]["success"] - s[reference]["success"]) for s in found]
        gap = "" if name == reference else over_seeds(points, "+.1f")
        invalid = fmean(seed[name]["invalid"] for seed in found)
        spread = f"{100 * min(success):.0f} to {100 * max(success):.0f}"
        lines.append(f"| {name} | {100 * fmean(success):.1f} % ({spread}) | {gap} | {100 * invalid:.1f} % |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
