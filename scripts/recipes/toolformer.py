"""Toolformer (arXiv 2302.04761) at tiny scale: does the filter find the useful calls, and does training on them help?

    python scripts/recipes/toolformer.py --out runs/toolformer-show

Texts tell of bags of boxes of things. Some go on with how many things that makes, a product of three numbers; others
with what a bag has, which stands there already. A model of 0.2 M random weights learns such texts, a share of the
products with calls in place (the seeding). Then it annotates texts without calls, and goes on from there in two ways:
on what it annotated, and on the same texts without calls (the control). `table.md` in `--out` has the figures, with
95 % intervals over the seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from experiments import command, cpu_minutes, each, options

from agenttrain.eval.report import over_seeds
from agenttrain.model.loaded import Loaded
from agenttrain.model.pretrained import Pretrained
from agenttrain.toolformer.annotate import opening_token

CONF = "conf=toolformer_tiny"
NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas")
THINGS = ("apples", "books", "coins", "stamps", "shells", "cards")
BOXES = ("boxes", "tins", "rows", "piles")
KINDS = ("product", "plain")
"""Texts that want a call, and texts that want none."""
PLACES = (0, 1, 3, 10)
"""k of decoding: how likely an opened call must be, by rank; 0 opens none."""
TAU_F = 0.5
"""Of the calculator. The gain and not `kept` is compared, since of two good calls at a place only one is kept."""
Figures = dict[str, float]


def main() -> int:
    parser = options(__doc__, "runs/toolformer-show", range(3))
    parser.add_argument("--base", type=int, default=16000, help="texts that the base learns from")
    parser.add_argument("--plain", type=float, default=0.5, help="share of all texts that want no call")
    parser.add_argument("--seeded", type=float, default=0.5, help="share of the base's products with a call in place")
    parser.add_argument("--epochs", type=float, default=4.0, help="of the base")
    parser.add_argument("--corpus", type=int, default=500, help="texts to annotate")
    parser.add_argument("--questions", type=int, default=100, help="of either kind")
    chosen = parser.parse_args()
    found = each(partial(one_seed, chosen), chosen.seeds, chosen.jobs)
    minutes = sum(cpu_minutes(chosen.out / str(seed)) for seed in chosen.seeds)
    text = f"{table(chosen.seeds, found)}\n{len(found)} seeds, {minutes:.1f} CPU minutes.\n"
    (chosen.out / "table.md").write_text(text)
    print(text)
    return 0


def table(seeds: list[int], found: list[Figures]) -> str:
    """A row for each figure, with what toolformer has more than the control and than itself without calls."""
    lines = [f"| | {' | '.join(f'seed {seed}' for seed in seeds)} | mean (95 %) |", "|---|" + "---|" * (len(seeds) + 1)]
    for name in found[0]:
        values, share = [one[name] for one in found], name.endswith("%")
        form = ".1f" if share else ".3f"
        lines.append(row(name, values, form, 0.0, 100.0 if share else math.inf))
    most, product = f"toolformer, k = {PLACES[-1]}", f"right on {KINDS[0]}, %"
    pairs = [(product, most, other) for other in ("control, k = 0", "toolformer, k = 0")]
    pairs += [(f"perplexity of {kind}", "toolformer", "control") for kind in KINDS]
    for what, one, other in pairs:
        more = [figures[f"{one}: {what}"] - figures[f"{other}: {what}"] for figures in found]
        lines.append(row(f"{one}, less {other}: {what}", more, "+.1f" if what == product else "+.3f"))
    return "\n".join(lines) + "\n"


def row(name: str, values: list[float], form: str, low: float = -math.inf, high: float = math.inf) -> str:
    cells = [f"{value:{form}}" for value in values]
    mean = over_seeds(values, form, low=low, high=high) if len(values) > 1 else ""
    return f"| {' | '.join([name, *cells, mean])} |"


def one_seed(chosen: argparse.Namespace, seed: int) -> Figures:
    """All steps, each seed with texts, weights and sampling of its own."""
    out, rng = chosen.out / str(seed), random.Random(seed)
    out.mkdir(parents=True, exist_ok=True)
    base, corpus = (texts(rng, n, chosen.plain) for n in (chosen.base, chosen.corpus))
    seeded = ({**told, "call": told["call"] if rng.random() < chosen.seeded else ""} for told in base)
    write(out / "base.jsonl", [{"text": told["before"] + told["call"] + told["after"]} for told in seeded])
    write(out / "corpus.jsonl", [{"text": told["before"] + told["after"]} for told in corpus])
    asked = {kind: texts(rng, chosen.questions, float(kind == "plain")) for kind in KINDS}
    for kind, own in asked.items():
        write(out / f"{kind}.jsonl", [{"text": told["before"], "answer": told["answer"]} for told in own])

    tiny = ["model=tiny_0_2m", f"model.seed={seed}", f"algo.epochs={chosen.epochs}", "algo.learning_rate=5e-3"]
    same, start = f"seed={seed}", f"model.path={out}/base/model"
    command(out / "base", "sft", CONF, same, f"data.path={out}/base.jsonl", *tiny)
    command(out / "annotated", "generate-trajectories", CONF, same, f"corpus={out}/corpus.jsonl", start)
    command(out / "toolformer", "sft", CONF, same, start, f"data.path={out}/annotated/annotated.jsonl")
    command(out / "control", "sft", CONF, same, start, f"data.path={out}/corpus.jsonl")

    figures = filter_figures(corpus, read(out / "annotated/candidates.jsonl"))
    for model, k in (("base", 0), ("control", 0), *(("toolformer", k) for k in PLACES)):
        for kind in KINDS:
            figures |= answered(out, model, k, kind)
    for model in ("control", "toolformer"):
        loaded = Pretrained(path=f"{out}/{model}/model").load()
        for kind, own in asked.items():
            whole = [told["before"] + told["after"] for told in own]
            figures[f"{model}: perplexity of {kind}"] = perplexity(loaded, whole)
    return figures


# -- texts ------------------------------------------------------------------------------------------------------------


def texts(rng: random.Random, n: int, plain: float) -> list[dict[str, Any]]:
    """`n` stories, of which about a share `plain` want no call."""
    return [story(rng, rng.random() >= plain) for _ in range(n)]


def story(rng: random.Random, product: bool) -> dict[str, Any]:
    """A text up to its answer (`before`), the useful call there if it wants one, and the rest (`after`)."""
    a, b, c = (rng.randint(2, 9) for _ in range(3))
    inner, name, thing = rng.choice(BOXES), rng.choice(NAMES), rng.choice(THINGS)
    told, answer = f"{name} has {a} bags with {b} {inner} of {c} {thing}.", str(a * b * c if product else b)
    if not product:
        return {"before": f"{told} A bag has", "call": "", "after": f" {answer} {inner}.", "answer": answer}
    call = f" [Calculator({a} * {b} * {c}) -> {answer}]"
    return {"before": f"{told} That makes", "call": call, "after": f" {answer} {thing}.", "answer": answer}


# -- figures ----------------------------------------------------------------------------------------------------------


def filter_figures(stories: list[dict[str, Any]], candidates: list[dict[str, Any]]) -> Figures:
    """The filter against what is known: a call is useful where the text wants one and its result is the very next
    number. A right result that stands a few words earlier may help, too; these calls are counted apart.
    """
    counts = {(label, kept): 0 for label in ("useful", "early", "useless") for kept in (True, False)}
    for candidate in (c for c in candidates if c["gain"] is not None):
        told = stories[candidate["text"]]
        right = bool(told["call"]) and candidate["result"] == told["answer"]
        place = "useful" if candidate["at"] == len(told["before"]) else "early"
        counts[place if right else "useless", candidate["gain"] >= TAU_F] += 1
    useful, useless = counts["useful", True], counts["useless", True]
    return {
        "filter: precision, %": share(useful, useful + useless),
        "filter: recall, %": share(useful, useful + counts["useful", False]),
        "filter: useful calls, %": share(useful + counts["useful", False], sum(counts.values())),
        "filter: right but early calls, %": share(counts["early", True] + counts["early", False], sum(counts.values())),
    }


def share(part: int, whole: int) -> float:
    """In percent."""
    return 100 * part / whole if whole else math.nan


def answered(out: Path, model: str, k: int, kind: str) -> Figures:
    """Right answers, texts in which a call was opened, and those where it had a result."""
    folder = out / f"eval-{model}-{k}-{kind}"
    command(folder, "eval", CONF, f"questions={out}/{kind}.jsonl", f"model.path={out}/{model}/model", f"decoder.k={k}")
    found, name = json.loads((folder / "eval.json").read_text()), f"{model}, k = {k}"
    figures = {f"{name}: right on {kind}, %": 100 * found["success"]["value"]}
    if k:
        for what in ("opened", "executed"):
            figures[f"{name}: calls {what} in {kind}, %"] = 100 * found["facts"][f"call_{what}"]
    return figures


def perplexity(loaded: Loaded, texts: list[str]) -> float:
    """Of whole texts, per token but the first, by a model that cannot open a call (k = 0), as the paper measures it."""
    losses = []
    with torch.no_grad():
        for text in texts:
            ids = torch.tensor([loaded.chat.text(text) + loaded.chat.end()], device=loaded.model.device)
            logits = loaded.model(ids).logits[0, :-1]
            logits[:, opening_token(loaded)] = -math.inf
            says = logits.log_softmax(-1)
            losses += (-says[range(len(says)), ids[0, 1:]]).tolist()
    return torch.tensor(losses).mean().exp().item()


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
