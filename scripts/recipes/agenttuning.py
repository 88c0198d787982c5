"""AgentTuning (arXiv 2310.12823) at tiny scale: does a model forget less if it learns acting among general texts?

    python scripts/recipes/agenttuning.py --agent hotpotqa_multimethod.jsonl --general gsm8k.jsonl --seeds 0 1 2

A model of random weights first learns general texts, GSM8K's questions with their answers. From there it goes on with
FireAct's trajectories, a share eta of all draws; the number of agent records is the same for every eta. `table.md` in
`--out` has the held-out losses, with 95 % intervals over the seeds.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from pathlib import Path

from agenttrain.eval.report import over_seeds

HELD_OUT = 60
"""Records of either kind that never train."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", type=Path, required=True, help="FireAct's records, chat form")
    parser.add_argument("--general", type=Path, required=True, help="JSON Lines of question and answer")
    parser.add_argument("--out", type=Path, default=Path("runs/agenttuning-show"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of weights, splits and draws")
    parser.add_argument("--etas", type=float, nargs="+", default=[0.2, 1.0], help="shares of agent records")
    parser.add_argument("--draws", type=int, default=100, help="agent records that train")
    parser.add_argument("--texts", type=int, default=600, help="general texts that train the base, and go on training")
    chosen = parser.parse_args()
    found = [one_seed(chosen, seed) for seed in chosen.seeds]
    rows = [(arm, [figures[arm] for figures in found]) for arm in found[0]]
    rows += [(f"{arm}, less base", [less(figures[arm], figures["base"]) for figures in found]) for arm, _ in rows[1:]]
    table = "| | general loss | agent loss |\n|---|---|---|\n"
    for arm, some in rows:
        general, agent = (over_seeds([figures[kind] for figures in some], ".2f") for kind in ("general", "agent"))
        table += f"| {arm} | {general} | {agent} |\n"
    (chosen.out / "table.md").write_text(table)
    print(table)
    return 0


def one_seed(chosen: argparse.Namespace, seed: int) -> dict[str, dict[str, float]]:
    """Arm -> held-out set -> loss, in nats per token with loss."""
    folder = chosen.out / str(seed)
    folder.mkdir(parents=True)
    rng = random.Random(seed)
    texts = [json.loads(line) for line in lines(chosen.general)]
    asked = [json.dumps({"text": f"{record['question']}\n{record['answer']}"}) for record in texts]
    rng.shuffle(asked)
    # By question: another method's answer to a held-out question must not train.
    records: dict[str, list[str]] = {}
    for line in lines(chosen.agent):
        records.setdefault(question(line), []).append(line)
    tasks = list(records.values())
    rng.shuffle(tasks)
    write(folder / "general-heldout.jsonl", asked[:HELD_OUT])
    write(folder / "general.jsonl", asked[HELD_OUT : HELD_OUT + chosen.texts])
    write(folder / "agent-heldout.jsonl", [task[0] for task in tasks[:HELD_OUT]])
    write(folder / "agent.jsonl", [line for task in tasks[HELD_OUT:] for line in task])

    files = [f"data.of.{name}.path={folder}/{name}.jsonl" for name in ("agent", "general")]
    sets = [f"heldout.{name}.path={folder}/{name}-heldout.jsonl" for name in ("agent", "general")]
    common = [*files, *sets, f"seed={seed}", f"data.seed={seed}"]
    sft(
        folder / "base",
        *common,
        "model=tiny_0_2m",
        f"model.seed={seed}",
        "data.shares={agent: 0, general: 1}",
        f"data.n={2 * chosen.texts}",
        "algo.learning_rate=5e-3",
    )
    losses: dict[str, dict[str, float]] = {}
    for eta in chosen.etas:
        out = folder / f"eta-{eta}"
        shares = f"data.shares={{agent: {eta}, general: {1 - eta:g}}}"
        sft(out, *common, f"model.path={folder}/base/model", shares, f"data.n={round(chosen.draws / eta)}")
        measured = [json.loads(line) for line in lines(out / "metrics.jsonl")]
        for place, arm in ((0, "base"), (-1, f"eta = {eta}")):
            losses[arm] = {
                name: [m[f"heldout_{name}_loss"] for m in measured if f"heldout_{name}_loss" in m][place]
                for name in ("general", "agent")
            }
    return losses


def sft(out: Path, *words: str) -> None:
    """The command as a user would type it, in this process: starting one costs more than most of these steps."""
    from agenttrain import cli

    line = ["conf=agenttuning_tiny", *words, f"out={out}"]
    print(f"\n$ agenttrain sft {' '.join(line)}", flush=True)
    cli.run("sft", line, None, None, False)


def question(line: str) -> str:
    user = next(m["content"] for m in json.loads(line)["messages"] if m["role"] == "user")
    return re.sub(r"^Question:\s*", "", user.strip())


def less(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    return {name: one[name] - other[name] for name in one}


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def write(path: Path, records: list[str]) -> None:
    path.write_text("".join(record + "\n" for record in records), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
