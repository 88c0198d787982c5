"""Gorilla (arXiv 2305.15334) at tiny scale: who follows documents that changed after training?

    python scripts/recipes/gorilla.py --out runs/gorilla-show

For each seed a library of APIs is invented and asked about, and a model of 0.2 M random weights is trained on it three
times: without documents, with the right one always (the paper's way), and with the recipe's mixture, half of whose
documents tell of an API that has just been renamed. Then every API is renamed. `table.md` in `--out` has the figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from experiments import command, cpu_minutes, each, options

from agenttrain.eval.report import over_seeds

CONF = "conf=gorilla_tiny"
TRAINED = {
    "without documents": ["data.rat.document=none"],
    "the right document": ["data.rat.document=oracle", "data.rat.doc_perturb=0"],
    "the mixture": [],
}
ASKED = {
    "renamed, document shown": [],
    "as trained, document shown": ["env.rat.doc_perturb=0"],
    "as trained, none shown": ["env.rat.doc_perturb=0", "env.rat.document=none"],
}
VERDICTS = ("accuracy", "hallucination", "error")
Figures = list[tuple[str, str, dict[str, float]]]


def main() -> int:
    parser = options(__doc__, "runs/gorilla-show", range(3))
    parser.add_argument("--set", nargs="*", default=[], help="settings of sft, such as algo.epochs=1")
    chosen = parser.parse_args()
    found = each(partial(one_seed, chosen), chosen.seeds, chosen.jobs)
    minutes = sum(cpu_minutes(chosen.out / f"seed-{seed}") for seed in chosen.seeds)
    told = "\n".join([*table(found), "", f"{len(found)} seeds, {minutes:.1f} CPU minutes."])
    (chosen.out / "table.md").write_text(told + "\n")
    print(told)
    return 0


def one_seed(chosen: argparse.Namespace, seed: int) -> Figures:
    """Trained with, asked, share of each verdict."""
    out, world = chosen.out / f"seed-{seed}", [f"task.world={seed}", f"seed={seed}"]
    command(out / "requests", "generate-trajectories", CONF, *world)
    figures: Figures = []
    for number, (name, words) in enumerate(TRAINED.items()):
        model, pairs = out / f"sft-{number}", f"data.path={out}/requests/trajectories.jsonl"
        command(model, "sft", CONF, pairs, f"seed={seed}", f"model.seed={seed}", *words, *chosen.set)
        for place, (asked, conditions) in enumerate(ASKED.items()):
            folder = out / f"eval-{number}-{place}"
            command(folder, "eval", CONF, f"model.path={model}/model", *world, *conditions)
            figures.append((name, asked, verdicts(json.loads((folder / "eval.json").read_text()))))
    return figures


def verdicts(evaluation: dict) -> dict[str, float]:
    """Shares of all answers: those that the token limit cut, which nobody judged, are errors."""
    right, finished = evaluation["success"]["value"], 1 - evaluation["figures"]["max_tokens"]
    invented = finished * evaluation["facts"].get("hallucination", 0.0)
    return {"accuracy": right, "hallucination": invented, "error": 1 - right - invented}


def table(found: list[Figures]) -> list[str]:
    """One row for each way to train and to ask: the mean of each verdict over the seeds, with its 95 % interval."""
    lines = ["| trained with | asked | " + " | ".join(VERDICTS) + " |", "|---|---|" + "---|" * len(VERDICTS)]
    for rows in zip(*found, strict=True):
        name, asked, _ = rows[0]
        shares = ([100 * verdict[kind] for _, _, verdict in rows] for kind in VERDICTS)
        cells = (over_seeds(values, ".0f", " %", low=0, high=100) for values in shares)
        lines.append(f"| {name} | {asked} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
