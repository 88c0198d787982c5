"""How much of slow environments' time a rollout hides behind the model's work.

    python scripts/bench/latency.py
    python scripts/bench/latency.py --quick

64 episodes of ten ragged turns at a time; every tool call sleeps for 0, 20 or 200 ms. `waited` is the sum over all
calls: what a loop adds that executes one call after another, as TRL's does with ordinary methods. `each` is the sum
over one episode's calls, which a lone episode cannot avoid: what a loop adds that executes the calls of a turn at the
same time, but waits for all of them (TRL's with `async` methods). Hidden is 1 - (seconds - seconds without) / waited,
and the same of each; the latter can be negative.
"""

import argparse
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from report import machine, spread, table
from scripted import Ours, load, write

from agenttrain.model.loaded import Loaded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latencies", type=float, nargs="+", default=[0.02, 0.2], help="seconds of a step")
    parser.add_argument("--episodes", type=int, default=64)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="four episodes of two turns with a smaller model")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.quick:
        given.episodes, given.turns, given.repetitions = 4, 2, 1
    loaded = load(quick=given.quick)
    seconds: dict[float, list[float]] = {latency: [] for latency in (0.0, *given.latencies)}
    played(loaded, given.episodes, 1, 0.0, seed=0)  # caches of the tokenizer, memory of the allocator
    for seed in range(given.repetitions):
        for latency, found in seconds.items():
            found.append(played(loaded, given.episodes, given.turns, latency, seed))
            print(f"{1000 * latency:.0f} ms: {found[-1]:.2f} s", file=sys.stderr, flush=True)
    rows = []
    for latency, found in seconds.items():
        each = given.turns * latency
        waited = given.episodes * each
        extra = [with_it - without for with_it, without in zip(found, seconds[0.0], strict=True)]
        hidden = [
            [100 * (1 - more / all_of_it) if all_of_it else 0.0 for more in extra] for all_of_it in (waited, each)
        ]
        shares = [spread(share) if latency else "" for share in hidden]
        rows.append([f"{1000 * latency:.0f} ms", f"{waited:.1f}", f"{each:.1f}", spread(found, 2), *shares])
    header = ["a step takes", "waited, s", "each, s", "rollout, s", "hidden of waited, %", "hidden of each, %"]
    print(table(header, rows))
    print(f"\n{given.episodes} episodes of {given.turns} turns. {machine()}")


def played(loaded: Loaded, episodes: int, turns: int, latency: float, seed: int) -> float:
    """Seconds of a rollout."""
    policy = Ours(write(loaded.tokenizer, episodes, turns, seed=seed, seconds=latency))
    policy.attach(loaded.model, loaded.chat)
    return policy.play()[0]


if __name__ == "__main__":
    main()
