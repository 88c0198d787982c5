"""Learning curves of strategies of credit, through the commands a user would type, and a table that compares them.

    python scripts/credit_curves.py           # every strategy, five seeds: an hour of two cores
    python scripts/credit_curves.py --short   # the claims alone, three seeds: ten minutes

Every strategy starts from the same weak clone (one per seed, which the corridors have, too), takes its learning rate
from the same grid, tried on a seed that is not compared, and is judged on the same number of environment steps. A
killed script goes on where it was: what is complete in --out, by the same command, is not made again.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

ONE_THREAD = {"OMP_NUM_THREADS": "1"}
CONTROLS = Path(__file__).parent / "controls"
ARMS = {
    "grpo": ["credit=grpo"],
    "dr_grpo": ["credit=dr_grpo"],
    "rloo": ["credit=rloo"],
    "reinforce_pp": ["credit=reinforce_pp"],
    "turn": ["credit=turn", "credit.gamma=0.8"],
    "mt_grpo": ["credit=mt_grpo"],
    "agent_r1": ["credit=agent_r1", "credit.gamma=0.8"],
    "shuffled": ["credit=shuffled", "credit.gamma=0.8"],
    "gigpo": ["credit=gigpo", "credit.gamma=0.8"],
    "hgpo": ["credit=hgpo", "credit.gamma=0.8"],
    "graphgpo": ["credit=graphgpo"],
    "gagpo": ["credit=gagpo", "credit.gamma=0.8"],
    "empg": ["credit=empg"],
    "empg of gigpo": ["credit=empg", "credit.base=gigpo", "credit.base.gamma=0.8"],
}
"""What is compared -> how it is chosen. Whatever discounts does so alike."""


@dataclass(frozen=True)
class Testbed:
    """A kind of corridor, and who is compared with whom on it (the first is the base)."""

    about: str
    env: list[str]
    arms: list[str]
    pairs: list[tuple[str, str]]
    """Differences besides those from the base."""


TESTBEDS = {
    "loops": Testbed(
        "states recur; 20 steps",
        ["env.kind=loops", "env.slack=2.5"],
        [name for name in ARMS if not name.startswith("empg")],
        [("gigpo", "turn"), ("gigpo", "shuffled")],
    ),
    "fog": Testbed("confusing states can be avoided", ["env.kind=fog", "env.slack=1.5"], ["grpo", "gigpo", "empg"], []),
    "crossing": Testbed(
        "confusing states must be crossed: a negative control for empg",
        ["env.kind=crossing", "env.cells=2", "env.slack=1.15", "task.rooms=6"],
        ["grpo", "empg"],
        [],
    ),
    "luck": Testbed(
        "chance decides half of the rooms, no state recurs: a negative control for anchors",
        ["env.kind=luck", "env.slack=1.25"],
        ["grpo", "gigpo"],
        [],
    ),
}


@dataclass(frozen=True)
class Plan:
    """How much is done."""

    steps: int
    seeds: range
    rates: list[float]
    """The grid that every strategy takes its learning rate from."""
    tuning_seeds: range
    """Of which it is chosen; none of them is compared. Without any, the grid has one rate."""
    arms: set[str]


FULL = Plan(30, range(5), [5e-4, 1e-3, 2e-3], range(100, 101), set(ARMS))
SHORT = Plan(20, range(3), [1e-3], range(0), {"grpo", "turn", "shuffled", "gigpo", "empg"})


@dataclass(frozen=True)
class Run:
    """One learning curve."""

    testbed: str
    arm: str
    rate: float
    seed: int
    folder: Path

    @property
    def curve(self) -> list[tuple[float, float]]:
        """(turns per episode, success) of each step of training."""
        rows = map(json.loads, (self.folder / "metrics.jsonl").read_text().splitlines())
        return [(row["turns"], row["success"]) for row in rows if "success" in row]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/credit-curves"))
    parser.add_argument("--short", action="store_true", help="three seeds, fewer strategies, one learning rate for all")
    parser.add_argument("--testbeds", nargs="+", choices=TESTBEDS, default=list(TESTBEDS))
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time, of one thread each")
    asked = parser.parse_args()
    plan, began = SHORT if asked.short else FULL, time.monotonic()
    with ThreadPoolExecutor(asked.jobs) as pool:
        together = partial(run_all, pool)
        together([partial(clone, asked.out, seed) for seed in (*plan.tuning_seeds, *plan.seeds)])
        pairs = [(name, arm) for name in asked.testbeds for arm in TESTBEDS[name].arms if arm in plan.arms]
        tried = {
            pair: [planned(asked.out, plan, *pair, rate, seed) for rate in plan.rates for seed in plan.tuning_seeds]
            for pair in pairs
        }
        together([partial(learn, asked.out, plan, run) for runs in tried.values() for run in runs])
        rates = {pair: best_rate(runs) if runs else plan.rates[0] for pair, runs in tried.items()}
        runs = [planned(asked.out, plan, *pair, rates[pair], seed) for seed in plan.seeds for pair in pairs]
        together([partial(learn, asked.out, plan, run) for run in runs])
    text = report(runs)
    (asked.out / "report.md").write_text(text, encoding="utf-8")
    write_csv(runs, asked.out / "runs.csv")
    print(f"{text}\n{asked.out}/report.md  {asked.out}/runs.csv  ({(time.monotonic() - began) / 60:.0f} min)")


# -- what is run ------------------------------------------------------------------------------------------------------


def clone(out: Path, seed: int) -> None:
    """Episodes of one who knows half of the rooms, in clear corridors and in fog, and the model that imitates them."""
    folder = out / f"clone-{seed}"
    for kind in ("loops", "fog"):
        seeds = [f"seed={seed}", f"task.seed={seed}", f"policy.seed={seed}"]
        command(folder / kind, "generate-trajectories", "conf=corridor", f"env.kind={kind}", *seeds)
    data = f"data.path=[{folder}/loops/trajectories.jsonl,{folder}/fog/trajectories.jsonl]"
    command(folder / "sft", "sft", "conf=corridor", data, "algo.epochs=1", f"seed={seed}", f"model.seed={seed}")


def planned(out: Path, plan: Plan, testbed: str, arm: str, rate: float, seed: int) -> Run:
    return Run(testbed, arm, rate, seed, out / testbed / arm / f"{rate:g}-{seed}-{plan.steps}")


def learn(out: Path, plan: Plan, run: Run) -> None:
    settings = [*TESTBEDS[run.testbed].env, *ARMS[run.arm], f"algo.learning_rate={run.rate}"]
    start = [f"model.path={out}/clone-{run.seed}/sft/model", f"task.seed={run.seed}", f"seed={run.seed}"]
    command(run.folder, "rl", "conf=corridor", *start, *settings, f"algo.steps={plan.steps}", "save_trajectories=false")


def command(out: Path, *words: str) -> None:
    """Run it unless it is complete; what is incomplete, or was made by another command, is made anew.

    Raises:
        SystemExit: it failed.
    """
    line = [sys.executable, "-m", "agenttrain", *words, f"out={out}", "--config-dir", str(CONTROLS)]
    shown, log = shlex.join(["agenttrain", *line[3:]]), out.with_suffix(".log")
    if (out / "report.md").is_file() and log.is_file() and log.read_text().startswith(shown + "\n"):
        return
    shutil.rmtree(out, ignore_errors=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("w") as file:
        file.write(shown + "\n")
        file.flush()
        code = subprocess.run(line, stdout=file, stderr=subprocess.STDOUT, env=os.environ | ONE_THREAD).returncode
    print(f"{time.monotonic() - began:4.0f} s  {out}", flush=True)
    if code:
        raise SystemExit(f"{shown}\nended with status {code}: see {log}")


def run_all(pool: ThreadPoolExecutor, jobs: Iterable[Callable[[], None]]) -> None:
    """In order, as many at a time as the pool has threads; the first failure ends it."""
    waiting = [pool.submit(job) for job in jobs]
    try:
        for job in waiting:
            job.result()
    except BaseException:
        pool.shutdown(wait=True, cancel_futures=True)
        raise


# -- what is found ----------------------------------------------------------------------------------------------------


def success(curve: Sequence[tuple[float, float]], start: float, end: float) -> float:
    """Mean success between two numbers of environment steps (here: turns per place in the batch)."""
    at, total = 0.0, 0.0
    for turns, rate in curve:
        total += rate * max(0.0, min(end, at + turns) - max(start, at))
        at += turns
    return total / (end - start)


def best_rate(runs: Sequence[Run]) -> float:
    """The learning rate with the highest mean success over its seeds."""
    budget = shortest(runs)
    rates = {run.rate for run in runs}
    return max(rates, key=lambda rate: fmean(success(run.curve, 0, budget) for run in runs if run.rate == rate))


def shortest(runs: Iterable[Run]) -> float:
    """The environment steps that all of these runs have made."""
    return min(sum(turns for turns, _ in run.curve) for run in runs)


def interval(values: Sequence[float]) -> str:
    """The mean with Student's 95 % interval."""
    from scipy.special import stdtrit

    half = float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / math.sqrt(len(values))
    mean = fmean(values)
    return f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"


def report(runs: Sequence[Run]) -> str:
    """A section for each testbed."""
    return "\n".join(
        section(name, [run for run in runs if run.testbed == name]) for name in {r.testbed: 0 for r in runs}
    )


def section(testbed: str, runs: Sequence[Run]) -> str:
    """Area under the curve and final success of each arm, and the differences paired by seed."""
    bed, budget = TESTBEDS[testbed], shortest(runs)
    arms = list(dict.fromkeys(run.arm for run in runs))
    whole = {arm: [success(run.curve, 0, budget) for run in runs if run.arm == arm] for arm in arms}
    last = {arm: [success(run.curve, 0.8 * budget, budget) for run in runs if run.arm == arm] for arm in arms}
    rates = {run.arm: run.rate for run in runs}
    lines = [
        f"## {testbed}: {bed.about}\n",
        f"{len(whole[arms[0]])} seeds; {budget:.0f} environment steps in each of the episodes played side by side.\n",
        "| strategy | learning rate | mean success | final success |",
        "|---|---|---|---|",
    ]
    for arm in arms:
        lines.append(f"| {arm} | {rates[arm]:g} | {fmean(whole[arm]):.3f} | {fmean(last[arm]):.3f} |")
    lines += [
        "",
        "| difference, paired by seed | mean success (95 %) | seeds above | final success (95 %) |",
        "|---|---|---|---|",
    ]
    pairs = [(arm, arms[0]) for arm in arms[1:]] + [pair for pair in bed.pairs if set(pair) <= set(arms)]
    for one, other in pairs:
        gains = [a - b for a, b in zip(whole[one], whole[other], strict=True)]
        ends = [a - b for a, b in zip(last[one], last[other], strict=True)]
        above = f"{sum(gain > 0 for gain in gains)} of {len(gains)}"
        lines.append(f"| {one} - {other} | {interval(gains)} | {above} | {interval(ends)} |")
    return "\n".join(lines) + "\n"


def write_csv(runs: Sequence[Run], path: Path) -> None:
    """A line for each step of each run."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["testbed", "strategy", "learning_rate", "seed", "step", "turns", "success"])
        for run in runs:
            for step, (turns, rate) in enumerate(run.curve, start=1):
                rows.writerow([run.testbed, run.arm, run.rate, run.seed, step, turns, rate])


if __name__ == "__main__":
    main()
