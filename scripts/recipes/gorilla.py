"""Gorilla (arXiv 2305.15334) at tiny scale: who follows documents that changed after training?

    python scripts/recipes/gorilla.py --out runs/gorilla-show

For each seed a library of APIs is invented and asked about, and a model of 0.2 M random weights is trained on it three
times: without documents, with the right one always (the paper's way), and with the recipe's mixture, half of whose
documents tell of an API that has just been renamed. Then every API is renamed. `table.md` in `--out` has the figures;
a seed that is there already is not run again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from agenttrain.eval.report import over_seeds

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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of library, requests and weights")
    parser.add_argument("--out", type=Path, default=Path("runs/gorilla-show"))
    parser.add_argument("--set", nargs="*", default=[], help="settings of sft, such as algo.epochs=1")
    chosen = parser.parse_args()
    found = [one_seed(seed, chosen.out / f"seed-{seed}", chosen.set) for seed in chosen.seeds]
    minutes = sum(one["minutes"] for one in found)
    told = "\n".join([*table([one["figures"] for one in found]), "", f"{len(found)} seeds, {minutes:.1f} CPU minutes."])
    (chosen.out / "table.md").write_text(told + "\n")
    print(told)
    return 0


def one_seed(seed: int, out: Path, settings: list[str]) -> dict:
    """`figures` (trained with, asked, share of each verdict) and CPU `minutes`; of an earlier run if there are any."""
    done, began = out / "figures.json", time.process_time()
    if done.is_file():
        return json.loads(done.read_text())
    world = [f"task.world={seed}", f"seed={seed}"]
    agenttrain("generate-trajectories", out / "requests", *world)
    figures: Figures = []
    for number, (name, words) in enumerate(TRAINED.items()):
        model, pairs = out / f"sft-{number}", f"data.path={out}/requests/trajectories.jsonl"
        agenttrain("sft", model, pairs, f"seed={seed}", f"model.seed={seed}", *words, *settings)
        for place, (asked, conditions) in enumerate(ASKED.items()):
            folder = out / f"eval-{number}-{place}"
            agenttrain("eval", folder, f"model.path={model}/model", *world, *conditions)
            figures.append((name, asked, verdicts(json.loads((folder / "eval.json").read_text()))))
    found = {"figures": figures, "minutes": (time.process_time() - began) / 60}
    done.write_text(json.dumps(found))
    return found


def verdicts(evaluation: dict) -> dict[str, float]:
    """Shares of all answers: those that the token limit cut, which nobody judged, are errors."""
    right, finished = evaluation["success"]["value"], 1 - evaluation["figures"]["max_tokens"]
    invented = finished * evaluation["facts"].get("hallucination", 0.0)
    return {"accuracy": right, "hallucination": invented, "error": 1 - right - invented}


def agenttrain(command: str, out: Path, *words: str) -> None:
    """A command as a user would type it, in this process: starting one costs more than most of these steps."""
    from agenttrain import cli

    line = ["conf=gorilla_tiny", *words, f"out={out}"]
    print(f"\n$ agenttrain {command} {' '.join(line)}", flush=True)
    cli.run(command, line, None, None, False)


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
