"""Time and memory of rollouts against the number of concurrent episodes and the tokens of each; memory of an idle slot.

    python scripts/bench/scale.py --over episodes      # 64 to 512 at once, three ragged turns
    python scripts/bench/scale.py --over turns         # 64 at once, 3 to 24 turns
    python scripts/bench/scale.py --over slots         # what a conversation keeps while its environment is at work
    python scripts/bench/scale.py --quick

The exponent is the slope of a line through all points on logarithmic scales: 1 is linear. Memory is the most that the
cache of keys and values has taken. Attention itself grows with the square of an episode's length, so that time over
turns can only be near linear as long as the rest of the model takes most of it.
"""

import argparse
import os
import sys
from itertools import chain

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from report import machine, spread, table
from scripted import CLOCKS, Clock, Ours, load, write

from agenttrain.model.loaded import Loaded
from agenttrain.policy.engine import Engine

MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--over", nargs="+", choices=["episodes", "turns", "slots"], default=["episodes", "turns", "slots"]
    )
    parser.add_argument("--episodes", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--turns", type=int, nargs="+", default=[3, 6, 12, 24])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument(
        "--clock", choices=list(CLOCKS), default="wall", help="cpu: on a machine that is busy otherwise"
    )
    parser.add_argument("--quick", action="store_true", help="up to eight episodes and four turns with a smaller model")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.quick:
        given.episodes, given.turns, given.repetitions = [4, 8], [2, 4], 1
    loaded, clock = load(quick=given.quick), CLOCKS[given.clock]
    played(loaded, clock, given.episodes[0], 1, seed=0)  # caches of the tokenizer, memory of the allocator
    if "episodes" in given.over:
        print(grown(loaded, clock, [(n, given.turns[0]) for n in given.episodes], given.repetitions))
    if "turns" in given.over:
        print(grown(loaded, clock, [(given.episodes[0], n) for n in given.turns], given.repetitions))
    if "slots" in given.over:
        print(idle(loaded, given.episodes[-1]))
    print(f"{given.clock} time. {machine()}")


def grown(loaded: Loaded, clock: Clock, sizes: list[tuple[int, int]], repetitions: int) -> str:
    """A table with a row for each `(episodes, turns)`, and the exponents."""
    found = [[played(loaded, clock, *size, seed) for size in sizes] for seed in range(repetitions)]
    rows = []
    for (episodes, turns), runs in zip(sizes, zip(*found, strict=True), strict=True):
        tokens, seconds, memory = zip(*runs, strict=True)
        each = [share / episodes for share in memory]
        rows.append([episodes, turns, spread(tokens, 0), spread(seconds), spread(memory), spread(each, 2)])
    tokens, seconds, memory = (
        list(chain(*column)) for column in zip(*(zip(*run, strict=True) for run in found), strict=True)
    )
    header = ["episodes at once", "turns", "tokens", "seconds", "cache, MiB", "per episode, MiB"]
    return (
        f"{table(header, rows)}\n\nExponent over tokens: {exponent(tokens, seconds):.2f} of time, "
        f"{exponent(tokens, memory):.2f} of memory.\n"
    )


def played(loaded: Loaded, clock: Clock, episodes: int, turns: int, seed: int) -> tuple[int, float, float]:
    """Tokens of all episodes (sampled and read), seconds, and MiB of cache."""
    policy = Ours(write(loaded.tokenizer, episodes, turns, seed=seed), clock)
    policy.attach(loaded.model, loaded.chat)
    seconds, ended = policy.play()
    tokens = sum(len(turn.action.prompt_ids) + len(turn.action.token_ids) for t in ended for turn in t.turns)
    print(f"{episodes} episodes, {turns} turns: {seconds:.1f} s", file=sys.stderr, flush=True)
    return tokens, seconds, policy.peak / MIB


def exponent(sizes: list[float], costs: list[float]) -> float:
    """Slope on logarithmic scales."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def idle(loaded: Loaded, slots: int) -> str:
    """What conversations keep that wait for their environments."""
    rows = []
    for length in (128, 256, 512, 1024, 4096):
        cache = Engine(loaded.model, 8192).cache
        for _ in range(slots):
            assert cache.seat(length), "not enough free memory for this table"
        rows.append([length, f"{cache.allocated / slots / 1024:.0f}", f"{length * cache.token_bytes / 1024:.0f}"])
    return f"{table(['tokens', f'KiB for each of {slots} slots', 'keys and values, KiB'], rows)}\n"


if __name__ == "__main__":
    main()
