"""A model in memory -> how many CPU threads torch computes it with, said once."""

from __future__ import annotations

import os
from typing import Any

SMALL = 20_000_000
"""Weights of a model that one thread computes. More threads gain little there, and where other programs use the machine
each of thousands of small operations waits for the thread that has to wait for its core (docs/performance.md)."""


def settle_threads(model: Any, threads: int | None) -> None:
    """One thread for a small model, torch's own choice for any other; `threads`, OMP_NUM_THREADS and a GPU overrule it.

    The command line has applied `threads` already, before torch came in.
    """
    import torch

    if threads is not None or "OMP_NUM_THREADS" in os.environ or model.device.type != "cpu":
        return
    weights = sum(parameter.numel() for parameter in model.parameters())
    if weights <= SMALL:
        torch.set_num_threads(1)
    count = torch.get_num_threads()
    if os.environ.get("RANK", "0") == "0":
        why = "the best for a small model" if weights <= SMALL else "torch's choice for a model"
        noun = "thread" if count == 1 else "threads"
        print(f"{count} CPU {noun}: {why} of {weights / 1e6:.1f} M weights (threads=...)", flush=True)
