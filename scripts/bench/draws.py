"""What `agenttrain sft conf=agenttuning` takes before its first step: drawing, tokens and their check, rows, packing.

    python scripts/bench/draws.py [--draws 4000] [--repetitions 3] [--quick]

Records are invented, as many per draw as the paper has (1,866 of agents, 3,670 and 57,096 general ones for 128,000
draws), of words from docs/. "Once" is agenttrain: a record that is drawn again is tokenized and checked once. "Each"
does it for every draw. Every figure is of a process of its own; times are of its CPU, memory is its peak.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from report import machine, spread, table

from agenttrain.data.mixture import Mixture
from agenttrain.data.sharegpt import Sharegpt
from agenttrain.model.tiny import Tiny
from agenttrain.trainer.masks import label_all
from agenttrain.trainer.sft import _dataset

FULL = 128_000
RECORDS = {"agent": 1866, "gpt4": 3670, "gpt35": 57096}
"""For `FULL` draws (arXiv 2310.12823, section 3.1)."""
TURNS, WORDS = 5, 90
"""Replies of a record, and words of a message on average."""
FIGURES = ("draw", "tokens", "rows", "pack", "peak")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one small repetition")
    parser.add_argument("--side", choices=("once", "each"), help="measure this one here, and print it as JSON")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.draws, arguments.repetitions = 200, 1
    if arguments.side:
        print(json.dumps(measure(arguments.draws, arguments.side == "each")))
        return
    found: dict[str, list[dict[str, float]]] = {"once": [], "each": []}
    for _ in range(arguments.repetitions):
        for side, measured in found.items():
            command = [sys.executable, __file__, "--draws", str(arguments.draws), "--side", side]
            measured.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
    rows = [[side, *(spread([one[name] for one in some], 2) for name in FIGURES)] for side, some in found.items()]
    print(table(["", "drawing, s", "tokens, s", "rows, s", "packing, s", "peak, GB"], rows))
    ratios = [each["tokens"] / once["tokens"] for once, each in zip(*found.values(), strict=True)]
    told = found["once"][0]
    print(f"Each / once, tokens: {spread(ratios, 2)}.", end=" ")
    print(f"{arguments.draws} draws of {told['records']:.0f} records, {told['count'] / 1e6:.1f} million tokens.")
    print(machine())


def measure(draws: int, each: bool) -> dict[str, float]:
    from trl import pack_dataset

    loaded = Tiny(layers=1, hidden=32, heads=1, kv_heads=1, intermediate=32).load()
    with tempfile.TemporaryDirectory() as folder:
        files = {name: write(Path(folder, name), round(n * draws / FULL)) for name, n in RECORDS.items()}
        clock = [time.process_time()]
        general = Mixture(of={name: files[name] for name in ("gpt4", "gpt35")}, shares={"gpt4": 1, "gpt35": 4})
        of, shares = {"agent": files["agent"], "general": general}, {"agent": 0.2, "general": 0.8}
        drawn = list(Mixture(of=of, shares=shares, n=draws))
        clock.append(time.process_time())
    labelled, account = label_all([replace(one) for one in drawn] if each else drawn, loaded.chat, 4096)
    clock.append(time.process_time())
    rows = _dataset([tokens for _, tokens in labelled])
    clock.append(time.process_time())
    pack_dataset(rows, 4096, "bfd")
    clock.append(time.process_time())
    spent = dict(zip(FIGURES, (after - before for before, after in pairwise(clock)), strict=False))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return spent | {"peak": peak, "count": account.tokens, "records": len({id(one) for one in drawn})}


def write(path: Path, records: int) -> Sharegpt:
    rng = random.Random(path.name)
    pages = sorted(Path(__file__).parents[2].glob("docs/*.md"))
    words = [word for page in pages for word in page.read_text().split() if word.isalpha()]
    with path.open("w") as file:
        for _ in range(records):
            said = [" ".join(rng.choices(words, k=1 + int(rng.expovariate(1 / WORDS)))) for _ in range(2 * TURNS)]
            turns = [{"from": ("human", "gpt")[place % 2], "value": text} for place, text in enumerate(said)]
            file.write(json.dumps({"conversations": turns}) + "\n")
    return Sharegpt(str(path))


if __name__ == "__main__":
    main()
