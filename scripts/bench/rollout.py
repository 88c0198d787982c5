"""Rollouts of our loop and engine against TRL's own environment loop: the same model, environment and tokens.

    python scripts/bench/rollout.py                    # 3 and 10 turns, both kinds of lengths, three repetitions
    python scripts/bench/rollout.py --turns 30 --every 5
    python scripts/bench/rollout.py --quick

Every token is laid down beforehand (scripts/bench/scripted.py), so that both sides do the same work, token for token,
which is checked. TRL's side is its GRPOTrainer with `environment_factory`; the time is that of its `_generate`, on
`generate` with a key-value cache. Ours is `rollout()` with `policy=local`. Sides alternate within a repetition, and
each repetition has another script. TRL's 30 turns take a quarter of an hour, so there its time may be estimated from
every n-th turn (`--every`).
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import torch
from report import machine, spread, table
from scripted import CLOCKS, Ours, Theirs, arguments, load, same, write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, nargs="+", default=[3, 10])
    parser.add_argument("--lengths", nargs="+", choices=["ragged", "equal"], default=["ragged", "equal"])
    parser.add_argument("--episodes", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the first repetition's script")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="of weights and cache")
    parser.add_argument("--cache", choices=["dynamic", "static"], default="dynamic", help="of `generate`")
    parser.add_argument(
        "--clock", choices=list(CLOCKS), default="wall", help="cpu: on a machine that is busy otherwise"
    )
    parser.add_argument("--every", type=int, default=1, help="of so many turns TRL plays one, and the sum is estimated")
    parser.add_argument("--quick", action="store_true", help="four episodes of two turns with a smaller model")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.quick:
        given.turns, given.episodes, given.repetitions = [2], 4, 1
    play(4, 1, "ragged", 0, given)  # libraries warm up
    rows = [measure(turns, lengths, given) for turns in given.turns for lengths in given.lengths]
    header = ["turns", "lengths", "sampled tokens", "longest turn", "ours, s", "TRL, s", "TRL / ours", "ours, tokens/s"]
    print(table(header, rows))
    print(f"\n{given.episodes} episodes, {given.dtype}, {given.clock} time. {machine()}")


def measure(turns: int, lengths: str, given: argparse.Namespace) -> list[object]:
    """A row of the table."""
    runs = [play(given.episodes, turns, lengths, given.seed + number, given) for number in range(given.repetitions)]
    ours, theirs, sampled, longest = zip(*runs, strict=True)
    return [
        turns,
        lengths,
        spread(sampled, 0),
        spread(longest, 0),
        spread(ours),
        spread(theirs),
        spread([b / a for a, b in zip(ours, theirs, strict=True)]),
        spread([n / s for n, s in zip(sampled, ours, strict=True)], 0),
    ]


def play(
    episodes: int, turns: int, lengths: str, seed: int, given: argparse.Namespace
) -> tuple[float, float, int, float]:
    """One script on both sides: our seconds, TRL's, the tokens that each sampled, and a turn's longest action."""
    clock = CLOCKS[given.clock]
    mine, other = load(given.dtype, given.quick), load(given.dtype, given.quick)
    script = write(mine.tokenizer, episodes, turns, ragged=lengths == "ragged", seed=seed)
    policy = Ours(script, clock)
    policy.attach(mine.model, mine.chat)
    ours, played = policy.play()
    with tempfile.TemporaryDirectory() as out:
        trainer = Theirs(script, other, arguments(script, Path(out), cache_implementation=given.cache), clock)
        theirs = trainer.estimate(played, given.every) if given.every > 1 else trainer.play()
    print(f"{turns} turns, {lengths}: ours {ours:.2f} s, TRL {theirs:.2f} s", file=sys.stderr, flush=True)
    longest = [max(len(script.of(attempt)[turn]) for attempt in script.attempts) for turn in range(turns)]
    if trainer.played:
        same(played, trainer.played)
    return ours, theirs, sum(script.lengths), statistics.mean(longest)


if __name__ == "__main__":
    main()
