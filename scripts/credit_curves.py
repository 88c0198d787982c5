"""Learning curves of strategies of credit, through the commands a user would type, and a table that compares them.

    python scripts/credit_curves.py           # every strategy, five seeds: an hour of two cores
    python scripts/credit_curves.py --short   # the claims alone, three seeds: eleven minutes
    python scripts/credit_curves.py --short --testbeds long   # forty steps, three seeds: ten minutes

Every strategy starts from the same weak clone (one per seed, which the corridors have, too), takes its learning rate
from the same grid, tried on a seed that is not compared, and is judged on the same number of environment steps. What is
found is written anew after each seed. A killed script goes on where it was: what is complete in --out, by the same
command, is not made again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from curves_report import Pair, Run, Testbed, best_rate, picture, report, write_csv
from experiments import command, cpu_minutes, each, options

CONTROLS = Path(__file__).parent / "controls"

CRITIC = ["algo=ppo", "algo.critic_learning_rate=1e-3"]
ARMS = {
    "grpo": ["credit=grpo"],
    "dr_grpo": ["credit=dr_grpo"],
    "rloo": ["credit=rloo"],
    "reinforce_pp": ["credit=reinforce_pp"],
    "turn": ["credit=turn", "credit.gamma=0.8"],
    "mt_grpo": ["credit=mt_grpo"],
    "shuffled": ["credit=shuffled", "credit.gamma=0.8"],
    "gigpo": ["credit=gigpo", "credit.gamma=0.8"],
    "hgpo": ["credit=hgpo", "credit.gamma=0.8"],
    "graphgpo": ["credit=graphgpo"],
    "gagpo": ["credit=gagpo", "credit.gamma=0.8"],
    "gae": ["credit=gae", "credit.gamma_turn=0.8", *CRITIC],
    "agent_r1": ["credit=agent_r1", "credit.gamma=0.8", *CRITIC],
    "empg": ["credit=empg"],
    "empg of gigpo": ["credit=empg", "credit.base=gigpo", "credit.base.gamma=0.8"],
}
"""What is compared -> how it is chosen. Whatever discounts does so alike."""

LONG, LONG_SLACK = "task.rooms=15", "env.slack=2.67"
TESTBEDS = {
    "loops": Testbed(
        "states recur; 20 steps",
        ["env.kind=loops", "env.slack=2.5"],
        [name for name in ARMS if not name.startswith("empg")],
        [("gigpo", "turn"), ("gigpo", "shuffled")],
    ),
    "long": Testbed(
        "states recur; 40 steps",
        ["env.kind=loops", LONG_SLACK, LONG],
        ["grpo", "turn", "shuffled", "gigpo", "graphgpo"],
        [("gigpo", "turn"), ("gigpo", "shuffled")],
        clone=[LONG_SLACK, LONG, "policy.knows=0.85"],
    ),
    "fog": Testbed(
        "confusing states can be avoided",
        ["env.kind=fog", "env.slack=1.5"],
        ["grpo", "gigpo", "empg", "empg of gigpo"],
        [("empg of gigpo", "gigpo")],
    ),
    "crossing": Testbed(
        "confusing states must be crossed: a negative control for empg",
        ["env.kind=crossing", "env.cells=2", "env.slack=1.15", "task.rooms=6"],
        ["grpo", "empg"],
    ),
    "luck": Testbed(
        "chance decides half of the rooms, no state recurs: a negative control for anchors",
        ["env.kind=luck", "env.slack=1.25"],
        ["grpo", "gigpo"],
    ),
}
CLAIMS = {"grpo", "turn", "shuffled", "gigpo", "empg"}
"""The strategies that the short form compares."""


@dataclass(frozen=True)
class Plan:
    """How much is done."""

    out: Path
    steps: int
    seeds: list[int]
    rates: list[float]
    """The grid that every strategy takes its learning rate from."""
    tuning_seeds: list[int]
    """Of which it is chosen; none of them is compared. Without any, the grid has one rate."""

    def start(self, testbed: str) -> str:
        """Name of the clones that the testbed starts from."""
        return f"clone-{testbed}" if TESTBEDS[testbed].clone else "clone"

    def run(self, pair: Pair, rate: float, seed: int) -> Run:
        testbed, arm = pair
        return Run(testbed, arm, rate, seed, self.out / testbed / arm / f"{rate:g}-{seed}-{self.steps}")


FULL = Plan(Path("runs/credit-curves"), 30, [0, 1, 2, 3, 4], [4e-4, 8e-4], [100])
SHORT = Plan(Path("runs/credit-curves"), 30, [0, 1, 2], [8e-4], [])


def main() -> None:
    plan, jobs, names = asked()
    pairs = [(name, arm) for name, arms in names.items() for arm in arms]
    starts = {plan.start(name): TESTBEDS[name].clone for name in names}
    seeds = (*plan.tuning_seeds, *plan.seeds)
    clones = [(start, own, seed) for seed in seeds for start, own in starts.items()]
    each(lambda one: clone(plan.out, *one), clones, jobs)
    tried = {pair: [plan.run(pair, rate, s) for rate in plan.rates for s in plan.tuning_seeds] for pair in pairs}
    each(partial(learn, plan), [run for runs in tried.values() for run in runs], jobs)
    rates = {pair: best_rate(runs) if runs else plan.rates[0] for pair, runs in tried.items()}
    done: list[Run] = []
    for seed in plan.seeds:
        runs = [plan.run(pair, rates[pair], seed) for pair in pairs]
        each(partial(learn, plan), runs, jobs)
        done += runs
        if len(done) > len(runs):  # a single seed has no interval
            leave(plan.out, done)


def asked() -> tuple[Plan, int, dict[str, list[str]]]:
    """Plan, processes at a time, and which strategies on which testbeds."""
    parser = options(__doc__, str(FULL.out), [])
    parser.add_argument("--short", action="store_true", help="three seeds, fewer strategies, one learning rate for all")
    usual = [name for name in TESTBEDS if name != "long"]
    parser.add_argument(
        "--testbeds", nargs="+", choices=TESTBEDS, default=usual, help="all but long, which takes longest"
    )
    parser.add_argument("--arms", nargs="+", choices=ARMS, help="strategies")
    parser.add_argument("--steps", type=int, help="of training, in each run")
    chosen = parser.parse_args()
    plan = replace(SHORT if chosen.short else FULL, out=chosen.out)
    plan = replace(plan, seeds=chosen.seeds or plan.seeds, steps=chosen.steps or plan.steps)
    arms = set(chosen.arms or (CLAIMS if chosen.short else ARMS))
    return plan, chosen.jobs, {n: [a for a in TESTBEDS[n].arms if a in arms] for n in chosen.testbeds}


# -- what is run ------------------------------------------------------------------------------------------------------


def clone(out: Path, name: str, own: list[str], seed: int) -> None:
    """Episodes of one who knows part of the rooms, in clear corridors and (unless it has settings of its `own`) in fog,
    and the model that imitates them."""
    folder, kinds = out / f"{name}-{seed}", ["loops"] if own else ["loops", "fog"]
    for kind in kinds:
        seeds = [f"seed={seed}", f"task.seed={seed}", f"policy.seed={seed}"]
        command(folder / kind, "generate-trajectories", "conf=corridor", f"env.kind={kind}", *own, *seeds)
    data = f"data.path=[{','.join(f'{folder}/{kind}/trajectories.jsonl' for kind in kinds)}]"
    command(folder / "sft", "sft", "conf=corridor", data, f"seed={seed}", f"model.seed={seed}")


def learn(plan: Plan, run: Run) -> None:
    settings = [*TESTBEDS[run.testbed].env, *ARMS[run.arm], f"algo.learning_rate={run.rate}"]
    start = [
        f"model.path={plan.out}/{plan.start(run.testbed)}-{run.seed}/sft/model",
        f"task.seed={run.seed}",
        f"seed={run.seed}",
    ]
    length = f"algo.steps={plan.steps}"
    words = [*start, *settings, length, "save_trajectories=false", "--config-dir", str(CONTROLS)]
    command(run.folder, "rl", "conf=corridor", *words)


def leave(out: Path, runs: list[Run]) -> None:
    """Table, picture and figures of the seeds that are complete."""
    text = report(runs, TESTBEDS) + f"\n{cpu_minutes(out):.0f} CPU minutes, for all that is in {out}.\n"
    (out / "report.md").write_text(text, encoding="utf-8")
    (out / "curves.svg").write_text(picture(runs, TESTBEDS), encoding="utf-8")
    write_csv(runs, out / "runs.csv")
    print(f"\n{text}\n{out}/report.md  {out}/curves.svg  {out}/runs.csv\n", flush=True)


if __name__ == "__main__":
    main()
