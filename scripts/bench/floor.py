"""How much of the processor's speed a rollout turns into tokens: useful tokens a second over bare matrix products.

    python scripts/bench/floor.py
    python scripts/bench/floor.py --quick

The floor is what the model's matrix products alone take for 64 tokens at once (all linear layers and the output head),
without attention, norms, sampling or Python: no engine can be faster at this batch size. Beside it `generate` with a
key-value cache, and our engine, on 64 prompts of 64 tokens that are continued by 128 tokens each; and our whole rollout
at ten turns of ragged length, where observations are read, too, and fewer than 64 decode towards the end. Only sampled
tokens count as useful. The floor is measured before and after each, in the same process.
"""

import argparse
import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from report import machine, spread, table
from scripted import CLOCKS, Clock, Ours, load, write

from agenttrain.model.loaded import Loaded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=128, help="sampled for each prompt")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument(
        "--clock", choices=list(CLOCKS), default="wall", help="cpu: on a machine that is busy otherwise"
    )
    parser.add_argument("--quick", action="store_true", help="a smaller model, four prompts, eight tokens")
    given = parser.parse_args()
    torch.set_num_threads(1)
    clock = CLOCKS[given.clock]
    if given.quick:
        given.batch, given.tokens, given.turns, given.repetitions = 4, 8, 2, 1
    loaded = load(given.dtype, given.quick)
    ways: dict[str, Callable[[int], float]] = {
        "generate": lambda _: generated(loaded, given.batch, given.tokens, clock),
        "ours": lambda seed: played(loaded, clock, given.batch, 1, seed, ragged=False, mean=given.tokens),
        f"ours, {given.turns} ragged turns": lambda seed: played(loaded, clock, given.batch, given.turns, seed),
    }
    rows = []
    for name, measure in ways.items():
        rates, floors = [], []
        measure(0)  # caches of the tokenizer, memory of the allocator
        for repetition in range(given.repetitions):
            before = floor(loaded, given.batch, clock)
            rates.append(measure(repetition))
            floors.append((before + floor(loaded, given.batch, clock)) / 2)
        shares = [100 * rate / best for rate, best in zip(rates, floors, strict=True)]
        rows.append([name, spread(rates, 0), spread(floors, 0), spread(shares)])
    print(table(["way", "useful tokens/s", "floor, tokens/s", "share, %"], rows))
    print(f"\nBatch {given.batch}, {given.dtype}, {given.clock} time. {machine()}")


def floor(loaded: Loaded, batch: int, clock: Clock, seconds: float = 1.0) -> float:
    """Tokens a second of the model's matrix products alone."""
    layers = [module for module in loaded.model.modules() if isinstance(module, torch.nn.Linear)]
    inputs = [torch.randn(batch, layer.in_features, dtype=layer.weight.dtype) for layer in layers]
    rounds, began = 0, clock()
    with torch.no_grad():
        while clock() - began < seconds:
            for layer, given in zip(layers, inputs, strict=True):
                layer(given)
            rounds += 1
    return batch * rounds / (clock() - began)


def generated(loaded: Loaded, batch: int, tokens: int, clock: Clock) -> float:
    """Tokens a second of transformers' `generate`."""
    script = write(loaded.tokenizer, batch, 1)
    prompts = [loaded.chat.open(task.messages, []) for task in script.tasks]
    ids = torch.tensor(prompts)
    began = clock()
    out = loaded.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=True,
        top_k=0,
        eos_token_id=None,
        max_new_tokens=tokens,
    )
    return (out.shape[1] - ids.shape[1]) * batch / (clock() - began)


def played(loaded: Loaded, clock: Clock, batch: int, turns: int, seed: int, **lengths: Any) -> float:
    """Sampled tokens a second of a whole rollout."""
    script = write(loaded.tokenizer, batch, turns, seed=seed, **lengths)
    policy = Ours(script, clock)
    policy.attach(loaded.model, loaded.chat)
    seconds, _ = policy.play()
    return sum(script.lengths) / seconds


if __name__ == "__main__":
    main()
