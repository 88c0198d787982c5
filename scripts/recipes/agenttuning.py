"""AgentTuning (arXiv 2310.12823) at tiny scale: does a model forget less if it learns acting among general texts?

    python scripts/recipes/agenttuning.py --general gsm8k.jsonl --agent hotpotqa_multimethod.jsonl
    python scripts/recipes/agenttuning.py --general gsm8k.jsonl --play 1000 --out runs/agenttuning-play

A model of random weights first learns general texts, GSM8K's questions with their answers. From there it goes on with
agent records, a share eta of all draws: FireAct's trajectories, or (`--play`) an expert's episodes of a crafting game,
which the model then plays itself. The number of agent records is the same for every eta. `table.md` in `--out` has
held-out losses and success, with 95 % intervals over the seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from experiments import command, each, options

from agenttrain.eval.report import over_seeds

HELD_OUT = 60
"""Records of either kind that never train."""
BASE = "base"
Figures = dict[str, float]
"""`general` and `agent`, losses in nats per token with loss; with `--play` success of 200 episodes, in percent."""
COLUMNS = {
    "general": ("general loss", ".2f", math.inf),
    "agent": ("agent loss", ".2f", math.inf),
    "success": ("success, %", ".1f", 100),
}
"""Heading, digits, and what no value is above; none is below 0."""


def main() -> int:
    parser = options(__doc__, "runs/agenttuning-show", range(3))
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--agent", type=Path, help="FireAct's records, chat form")
    source.add_argument("--play", type=int, help="episodes of the expert of conf=demo, without an error")
    parser.add_argument("--general", type=Path, required=True, help="JSON Lines of question and answer")
    parser.add_argument("--etas", type=float, nargs="+", default=[0.2, 1.0], help="shares of agent records")
    parser.add_argument("--draws", type=int, default=100, help="agent records that train, a record again counted again")
    parser.add_argument("--texts", type=int, default=600, help="general texts that train the base, and go on training")
    parser.add_argument("--model", default="tiny_0_2m", help="of random weights")
    parser.add_argument("--rates", type=float, nargs=2, default=[5e-3, 1e-3], help="learning rates, base and mixture")
    chosen = parser.parse_args()
    found = each(partial(one_seed, chosen), chosen.seeds, chosen.jobs)
    text = table({arm: [figures[arm] for figures in found] for arm in found[0]})
    (chosen.out / "table.md").write_text(text)
    print(text)
    return 0


def table(arms: dict[str, list[Figures]]) -> str:
    """A row for each arm, then for what it has more than the base with the same seed, and the first than the last."""
    base, *others = arms
    kinds = list(arms[base][0])
    lines = [f"| | {' | '.join(COLUMNS[kind][0] for kind in kinds)} |", "|---|" + "---|" * len(kinds)]
    for arm, seeds in arms.items():
        cells = (over_seeds([one[kind] for one in seeds], form, low=0, high=most) for kind, form, most in shown(kinds))
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    pairs = [(arm, base) for arm in others] + ([(others[0], others[-1])] if len(others) > 1 else [])
    for one, other in pairs:
        apart = list(zip(arms[one], arms[other], strict=True))
        cells = (over_seeds([a[kind] - b[kind] for a, b in apart], form) for kind, form, _ in shown(kinds))
        lines.append(f"| {one}, less {other} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def shown(kinds: list[str]) -> list[tuple[str, str, float]]:
    return [(kind, *COLUMNS[kind][1:]) for kind in kinds]


def one_seed(chosen: argparse.Namespace, seed: int) -> dict[str, Figures]:
    """Arm -> what was measured of it."""
    folder, rng = chosen.out / str(seed), random.Random(seed)
    agent = played(folder, chosen.play, seed) if chosen.play else recorded(folder, chosen.agent, rng)
    common = [*agent, *texts(folder, chosen, rng), f"seed={seed}", f"data.seed={seed}"]
    fresh = [f"model={chosen.model}", f"model.seed={seed}"]
    general, mixture = (f"algo.learning_rate={rate}" for rate in chosen.rates)
    sft(folder / BASE, *common, *fresh, *shares(0.0, 2 * chosen.texts), general)
    found: dict[str, Figures] = {}
    for eta in chosen.etas:
        out = folder / f"eta-{eta}"
        sft(out, *common, f"model.path={folder}/{BASE}/model", mixture, *shares(eta, round(chosen.draws / eta)))
        found.setdefault(BASE, losses(out)[0])
        found[f"eta = {eta}"] = losses(out)[1]
        if chosen.play:
            found[f"eta = {eta}"]["success"] = success(out, seed)
    if chosen.play:
        found[BASE]["success"] = success(folder / BASE, seed)
    return found


def shares(eta: float, draws: int) -> list[str]:
    return [f"data.shares={{agent: {eta:g}, general: {1 - eta:g}}}", f"data.n={draws}"]


# -- records ----------------------------------------------------------------------------------------------------------


def texts(folder: Path, chosen: argparse.Namespace, rng: random.Random) -> list[str]:
    """General texts, written to files, and the settings that name them."""
    records = [json.loads(line) for line in lines(chosen.general)]
    asked = [json.dumps({"text": f"{record['question']}\n{record['answer']}"}) for record in records]
    rng.shuffle(asked)
    write(folder / "general-heldout.jsonl", asked[:HELD_OUT])
    write(folder / "general.jsonl", asked[HELD_OUT : HELD_OUT + chosen.texts])
    return paths(folder, "general", "general.jsonl", "general-heldout.jsonl")


def recorded(folder: Path, file: Path, rng: random.Random) -> list[str]:
    """FireAct's records, split by question: another method's answer to a held-out question must not train."""
    records: dict[str, list[str]] = {}
    for line in lines(file):
        records.setdefault(question(line), []).append(line)
    tasks = list(records.values())
    rng.shuffle(tasks)
    write(folder / "agent-heldout.jsonl", [task[0] for task in tasks[:HELD_OUT]])
    write(folder / "agent.jsonl", [line for task in tasks[HELD_OUT:] for line in task])
    return paths(folder, "agent", "agent.jsonl", "agent-heldout.jsonl")


def played(folder: Path, n: int, seed: int) -> list[str]:
    """Episodes of the expert, and others of tasks that it did not play."""
    expert = ["conf=demo", "policy.error=0", f"seed={seed}", f"task.seed={seed}"]
    command(folder / "expert", "generate-trajectories", *expert, f"task.n={n}")
    command(folder / "expert-heldout", "generate-trajectories", *expert, "task.split=heldout", f"task.n={HELD_OUT}")
    files = ("expert/trajectories.jsonl", "expert-heldout/trajectories.jsonl")
    return ["data@data.of.agent=trajectories", "data@heldout.agent=trajectories", *paths(folder, "agent", *files)]


def paths(folder: Path, name: str, train: str, heldout: str) -> list[str]:
    return [f"data.of.{name}.path={folder}/{train}", f"heldout.{name}.path={folder}/{heldout}"]


# -- commands ---------------------------------------------------------------------------------------------------------


def sft(out: Path, *words: str) -> None:
    command(out, "sft", "conf=agenttuning_tiny", *words)


def losses(run: Path) -> list[Figures]:
    """Of the held-out sets, before and after."""
    measured = [json.loads(line) for line in lines(run / "metrics.jsonl")]
    found = {name: [m[key] for m in measured if (key := f"heldout_{name}_loss") in m] for name in ("general", "agent")}
    return [{name: values[place] for name, values in found.items()} for place in (0, -1)]


def success(run: Path, seed: int) -> float:
    """In percent, of 100 held-out tasks with two attempts each."""
    command(run / "eval", "eval", "conf=demo", f"model.path={run}/model", f"seed={seed}", f"task.seed={seed}")
    return 100 * json.loads((run / "eval" / "eval.json").read_text())["success"]["value"]


def question(line: str) -> str:
    user = next(m["content"] for m in json.loads(line)["messages"] if m["role"] == "user")
    return re.sub(r"^Question:\s*", "", user.strip())


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def write(path: Path, records: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(record + "\n" for record in records), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
