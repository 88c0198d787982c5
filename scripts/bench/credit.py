"""Seconds that each strategy of credit takes for a million turns, beside a plain dictionary form of GiGPO.

python scripts/bench/credit.py              a million turns in groups of 8, each strategy three times
python scripts/bench/credit.py --turns 1e4  a quick look

The dictionary form loops over turns in Python and keeps lists by (task, state), as published code does, but with the
returns taken in one pass from the end (some published code sums anew for every turn, which is quadratic).
"""

from __future__ import annotations

import argparse
import gc
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from agenttrain.config import options
from agenttrain.config.compose import compose
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def batch(turns: int, length: int = 20, group: int = 8, states: int = 30) -> list[Trajectory]:
    """Trajectories of about `length` turns in groups of `group`, with states that recur."""
    rng = np.random.default_rng(0)
    made: list[Trajectory] = []
    while turns > 0:
        task = Task(f"t{len(made) // group}", [])
        n = int(rng.integers(length // 2, length * 3 // 2))
        keys = [f"room {key}" for key in rng.integers(states, size=n)]
        actions = [
            Action({}, entropies=[h, h], values=[v, v]) for h, v in zip(*rng.random((2, n)).tolist(), strict=True)
        ]
        steps = [Turn(action, Observation([], state=key)) for action, key in zip(actions, keys, strict=True)]
        made.append(Trajectory(task, steps, "done", scores={"r": rng.random(n).tolist()}))
        turns -= n
    return made


def dictionaries(trajectories: Sequence[Trajectory]) -> list[list[float]]:
    """GiGPO with plain loops, lists and dictionaries."""
    by_task, by_state = defaultdict(list), defaultdict(list)
    futures = []
    for trajectory in trajectories:
        rewards, future, row = trajectory.turn_rewards, 0.0, []
        by_task[trajectory.task.id].append(sum(rewards))
        for reward in reversed(rewards):
            future = reward + 0.95 * future
            row.append(future)
        futures.append(row[::-1])
        for turn, value in zip(trajectory.turns, futures[-1], strict=True):
            by_state[trajectory.task.id, turn.observation.state].append(value)
    spread = {key: mean_and_deviation(values) for key, values in by_task.items()}
    anchors = {key: mean_and_deviation(values) for key, values in by_state.items()}
    advantages = []
    for trajectory, future in zip(trajectories, futures, strict=True):
        mean, deviation = spread[trajectory.task.id]
        whole = (sum(trajectory.turn_rewards) - mean) / (deviation + 1e-6)
        row = []
        for turn, value in zip(trajectory.turns, future, strict=True):
            mean, deviation = anchors[trajectory.task.id, turn.observation.state]
            row.append(whole + (value - mean) / (deviation + 1e-6))
        advantages.append(row)
    return advantages


def mean_and_deviation(values: list[float]) -> tuple[float, float]:
    """With n - 1; of a single value 1."""
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)) if len(values) > 1 else 1.0


def seconds(
    credit: Callable[[Sequence[Trajectory]], object], trajectories: Sequence[Trajectory], times: int
) -> list[float]:
    """CPU seconds of each call."""
    taken = []
    for _ in range(times):
        began = time.process_time()
        credit(trajectories)
        taken.append(time.process_time() - began)
    return taken


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=float, default=1e6)
    parser.add_argument("--repetitions", type=int, default=3)
    chosen = parser.parse_args()
    trajectories = batch(int(chosen.turns))
    gc.freeze()  # or the collector walks over all of the batch now and then, at the expense of who allocates most
    names = options.options("credit", options.folders())
    strategies = {name: compose("rl", ["model=tiny", f"credit={name}"]).call().keywords["credit"] for name in names}
    plain = seconds(dictionaries, trajectories, chosen.repetitions)
    print(f"{sum(len(t.turns) for t in trajectories)} turns, {len(trajectories)} trajectories in groups of 8\n")
    print("| credit | CPU s, median (range) | dictionaries = 1 |\n|---|---|---|")
    for name, credit in ({"(gigpo, dictionaries)": None} | strategies).items():
        taken = seconds(credit, trajectories, chosen.repetitions) if credit else plain
        ratio = statistics.median(taken) / statistics.median(plain)
        print(f"| {name} | {statistics.median(taken):.2f} ({min(taken):.2f} to {max(taken):.2f}) | {ratio:.2f} |")


if __name__ == "__main__":
    main()
