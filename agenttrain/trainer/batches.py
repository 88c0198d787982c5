"""Rows of a step -> micro-batches with little padding: half of a plain batch of episodes is padding."""

from __future__ import annotations

from typing import Any

import torch

Rows = dict[str, Any]
"""What TRL trains on: tensors whose first dimension is the row, and a few scalars."""


def by_length(batches: list[Rows], window: int) -> list[Rows]:
    """Sort rows by length of completion within every `window` batches, all of one size, and cut each batch to its
    longest prompt and completion."""
    ordered: list[Rows] = []
    for start in range(0, len(batches), window):
        some = batches[start : start + window]
        size = len(some[0]["completion_mask"])
        whole = {
            key: torch.cat([rows[key] for rows in some]) if _is_rows(value) else value for key, value in some[0].items()
        }
        order = whole["completion_mask"].sum(1).argsort(stable=True)
        for place in range(len(some)):
            taken = order[place * size : (place + 1) * size]
            ordered.append(_cut({key: value[taken] if _is_rows(value) else value for key, value in whole.items()}))
    return ordered


def _cut(rows: Rows) -> Rows:
    width = rows["completion_mask"].shape[1]
    longest = int(rows["completion_mask"].sum(1).max())
    prompt = int(rows["prompt_mask"].sum(1).max())
    cut = {}
    for key, value in rows.items():
        if key in ("prompt_ids", "prompt_mask"):
            cut[key] = value[:, -prompt:]
        else:
            cut[key] = value[:, :longest] if _is_rows(value) and value.dim() == 2 and value.shape[1] == width else value
    return cut


def _is_rows(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dim() > 0
