"""Toolformer (arXiv 2302.04761) at tiny scale: does the filter find the useful calls, and does training on them help?

    python scripts/recipes/toolformer.py --seed 0 --out runs/toolformer-show-0

Texts tell of bags of boxes of things; how many that makes needs a product of three numbers. A model of 0.2 M random
weights learns such texts, a share of them with calls in place (the seeding). Then it annotates texts without calls, and
goes on from there in two ways: on what it annotated, and on the same texts without calls (the control). `table.md` in
`--out` has the figures.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas")
THINGS = ("apples", "books", "coins", "stamps", "shells", "cards")
BOXES = ("boxes", "tins", "rows", "piles")


def story(rng: random.Random) -> dict[str, Any]:
    """A text up to its result (`before`), the useful call there, and the rest (`after`)."""
    a, b, c = (rng.randint(2, 9) for _ in range(3))
    inner, name, thing = rng.choice(BOXES), rng.choice(NAMES), rng.choice(THINGS)
    answer = str(a * b * c)
    return {
        "before": f"{name} has {a} bags with {b} {inner} of {c} {thing}. That makes",
        "call": f" [Calculator({a} * {b} * {c}) -> {answer}]",
        "after": f" {answer} {thing}.",
        "answer": answer,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of texts, weights and sampling")
    parser.add_argument("--out", type=Path, default=Path("runs/toolformer-show"))
    parser.add_argument("--base", type=int, default=4000, help="texts that the base learns from")
    parser.add_argument("--seeded", type=float, default=0.5, help="share of these with a call in place")
    parser.add_argument("--epochs", type=float, default=5.0, help="of the base")
    parser.add_argument("--corpus", type=int, default=300, help="texts to annotate")
    parser.add_argument("--questions", type=int, default=100)
    chosen = parser.parse_args()
    rng, out, seed = random.Random(chosen.seed), chosen.out, f"seed={chosen.seed}"
    out.mkdir(parents=True)

    base = [story(rng) for _ in range(chosen.base)]
    texts = [s["before"] + (s["call"] if rng.random() < chosen.seeded else "") + s["after"] for s in base]
    write(out / "base.jsonl", [{"text": text} for text in texts])
    stories = [story(rng) for _ in range(chosen.corpus)]
    write(out / "corpus.jsonl", [{"text": s["before"] + s["after"]} for s in stories])
    asked = [story(rng) for _ in range(chosen.questions)]
    write(out / "questions.jsonl", [{"text": s["before"], "answer": s["answer"]} for s in asked])

    tiny = ["model=tiny_0_2m", f"model.seed={chosen.seed}", f"algo.epochs={chosen.epochs}", "algo.learning_rate=5e-3"]
    agenttrain("sft", out / "base", seed, f"data.path={out}/base.jsonl", *tiny)
    start = f"model.path={out}/base/model"
    agenttrain("generate-trajectories", out / "annotated", seed, f"corpus={out}/corpus.jsonl", start)
    agenttrain("sft", out / "toolformer", seed, start, f"data.path={out}/annotated/annotated.jsonl")
    agenttrain("sft", out / "control", seed, start, f"data.path={out}/corpus.jsonl")

    rows = filter_rows(stories, read(out / "annotated/candidates.jsonl"))
    for name, k in (("base", 0), ("control", 0), *(("toolformer", k) for k in (0, 1, 3, 10))):
        folder = out / f"eval-{name}-{k}"
        model = f"model.path={out}/{name}/model"
        agenttrain("eval", folder, f"questions={out}/questions.jsonl", model, f"decoder.k={k}")
        found = json.loads((folder / "eval.json").read_text())
        rate, calls = found["success"], found["facts"]["call_executed"]
        accuracy = f"{100 * rate['value']:.1f} % ({100 * rate['low']:.1f} to {100 * rate['high']:.1f})"
        rows.append((f"accuracy, {name}, k = {k}", f"{accuracy}; calls in {100 * calls:.1f} %"))
    heldout = [s["before"] + s["after"] for s in asked]
    rows += [
        (f"perplexity without calls, {n}", perplexity(out / n / "model", heldout)) for n in ("control", "toolformer")
    ]
    table = "".join(f"| {name} | {figure} |\n" for name, figure in rows)
    (out / "table.md").write_text(f"| seed {chosen.seed} | |\n|---|---|\n{table}")
    print((out / "table.md").read_text())
    return 0


def agenttrain(command: str, out: Path, *words: str) -> None:
    """A command as a user would type it, in this process: starting one costs more than most of these steps."""
    from agenttrain import cli

    line = ["conf=toolformer_tiny", *words, f"out={out}"]
    print(f"\n$ agenttrain {command} {' '.join(line)}", flush=True)
    cli.run(command, line, None, None, False)


def filter_rows(stories: list[dict[str, Any]], candidates: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The filter against what is known: a call is useful where its result is the very next number.

    A right result that stands a few words earlier may help, too; these calls are counted apart.
    """
    counts = {(label, kept): 0 for label in ("useful", "early", "useless") for kept in (True, False)}
    for candidate in (c for c in candidates if c["gain"] is not None):
        told = stories[candidate["text"]]
        right = candidate["result"] == told["answer"]
        place = "useful" if candidate["at"] == len(told["before"]) else "early"
        counts[place if right else "useless", candidate["gain"] >= TAU_F] += 1
    useful, useless = counts["useful", True], counts["useless", True]
    executed = sum(counts.values())
    return [
        ("candidates executed and scored", f"{executed} of {len(candidates)}"),
        ("useful: kept, rejected", f"{useful}, {counts['useful', False]}"),
        ("right but early: kept, rejected", f"{counts['early', True]}, {counts['early', False]}"),
        ("useless: kept, rejected", f"{useless}, {counts['useless', False]}"),
        ("precision of the filter", share(useful, useful + useless)),
        ("recall of the filter", share(useful, useful + counts["useful", False])),
    ]


TAU_F = 0.5
"""Of the calculator. The gain and not `kept` is compared, since of two good calls at a place only one is kept."""


def share(part: int, whole: int) -> str:
    return f"{part / whole:.3f} ({part} of {whole})" if whole else "none"


def perplexity(model: Path, texts: list[str]) -> str:
    """Of whole texts, per token but the first."""
    import torch

    from agenttrain.model.pretrained import Pretrained

    loaded = Pretrained(path=str(model)).load()
    losses = []
    with torch.no_grad():
        for text in texts:
            ids = torch.tensor([loaded.chat.text(text) + loaded.chat.end()], device=loaded.model.device)
            says = loaded.model(ids).logits[0, :-1].log_softmax(-1)
            losses += (-says[range(len(says)), ids[0, 1:]]).tolist()
    return f"{torch.tensor(losses).mean().exp():.3f}"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
