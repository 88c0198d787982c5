"""Attention of a flat batch over cached rows, as a kernel that any model of transformers can be told to call.

A forward pass is one sequence of new tokens, whoever they belong to: nothing is padded. Tokens of conversations that
decode come first, one each, and attend in blocks, one for each page; after them come pieces of text that is read, one
row each. Query heads that share a key head stand as queries side by side, so that no key is repeated in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from agenttrain.errors import UserError
from agenttrain.policy.cache import Layer, Page, Row

KERNEL, PROBE = "agenttrain_rows", "agenttrain_probe"
"""What transformers calls `attend` and `probe`."""


@dataclass
class Block:
    """New tokens of one page: one token in each of several rows, or several tokens in one row."""

    page: Page
    tokens: slice
    """Where they stand in the batch."""
    slots: tuple[torch.Tensor, slice, torch.Tensor]
    """Where they are written: row of the page, all heads, position."""
    low: int
    high: int
    """Rows of the page from the first to the last one concerned; what others between compute is thrown away."""
    places: torch.Tensor | None
    """The concerned rows, counted from `low`; None if all are."""
    positions: torch.Tensor
    """Of one-token blocks the position in every row `low` to `high`; else of every token."""
    first: int
    reach: int
    """Least and greatest position, the latter plus one."""
    reads: bool
    """True if the tokens are of one row."""
    masks: dict[int | None, tuple[int, torch.Tensor | None]] = field(default_factory=dict)

    def mask(self, window: int | None, dtype: torch.dtype) -> tuple[int, torch.Tensor | None]:
        """The first key that any query of a layer with this sliding window sees, and what is added to the scores of the
        keys from there on; the same for all such layers, so made once."""
        if window not in self.masks:
            begin = max(0, self.first - window + 1) if window else 0
            keys = torch.arange(begin, self.reach, device=self.positions.device)
            hidden = keys > self.positions[:, None]
            if window:
                hidden |= keys <= self.positions[:, None] - window
            mask = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(hidden, -torch.inf)
            self.masks[window] = begin, mask if self.reads else mask[:, None, None]
        return self.masks[window]


def blocks(decoding: Sequence[Row], reading: Sequence[tuple[Row, int]], device: torch.device) -> list[Block]:
    """The blocks of a batch: one token for each of `decoding` (sorted by page and place), then the pieces `reading`."""
    made: list[Block] = []
    start = 0
    while start < len(decoding):
        page = decoding[start].page
        stop = start + 1
        while stop < len(decoding) and decoding[stop].page is page:
            stop += 1
        made.append(_decoding(page, decoding[start:stop], start, device))
        start = stop
    for row, count in reading:
        positions = torch.arange(row.length, row.length + count, device=device)
        place = torch.full_like(positions, row.place)
        made.append(
            Block(
                row.page,
                slice(start, start + count),
                (place, slice(None), positions),
                row.place,
                row.place + 1,
                None,
                positions,
                row.length,
                row.length + count,
                reads=True,
            )
        )
        start += count
    return made


def _decoding(page: Page, rows: Sequence[Row], start: int, device: torch.device) -> Block:
    low, high = rows[0].place, rows[-1].place + 1
    places = [row.place - low for row in rows]
    lengths = [0] * (high - low)
    for place, row in zip(places, rows, strict=True):
        lengths[place] = row.length
    return Block(
        page,
        slice(start, start + len(rows)),
        (
            torch.tensor([row.place for row in rows], device=device),
            slice(None),
            torch.tensor([row.length for row in rows], device=device),
        ),
        low,
        high,
        None if len(rows) == high - low else torch.tensor(places, device=device),
        torch.tensor(lengths, device=device),
        min(row.length for row in rows),
        max(row.length for row in rows) + 1,
        reads=False,
    )


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    batch: Sequence[Block],
    scaling: float,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Write the new keys and values to their rows, and let each query see its own row up to itself.

    `query` is `(1, heads, tokens, dim)`, `key` and `value` `(1, key heads, tokens, dim)`; the result
    `(1, tokens, heads, dim)`, all as transformers has it.
    """
    layer, heads, dtype = module.layer_idx, key.shape[1], value.dtype
    # Of one type: autocast leaves rotated queries and keys in float32.
    queries = query[0].transpose(0, 1).to(dtype)
    keys, values = key[0].transpose(0, 1).to(dtype), value[0].transpose(0, 1)
    results = []
    for block in batch:
        k, v = block.page.rows[layer]
        k[block.slots], v[block.slots] = keys[block.tokens], values[block.tokens]
        begin, mask = block.mask(sliding_window, dtype)
        k, v = (rows[block.low : block.high, :, begin : block.reach] for rows in (k, v))
        q = queries[block.tokens]
        if block.reads:
            q = q.transpose(0, 1)[None]
            result = _weigh(q, k, v, mask, scaling, softcap)[0].transpose(0, 1)
        else:
            q = q.unflatten(1, (heads, -1))
            if block.places is not None:
                q = q.new_zeros(block.high - block.low, *q.shape[1:]).index_copy_(0, block.places, q)
            result = _weigh(q, k, v, mask, scaling, softcap).flatten(1, 2)
            if block.places is not None:
                result = result[block.places]
        results.append(result)
    return torch.cat(results)[None], None


def probe(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    layers: dict[int, Layer],
    sliding_window: int | None = None,
    s_aux: Any = None,
    position_bias: Any = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """In place of `attend` for a first, single token: enters in `layers` what every layer keeps.

    Raises:
        UserError: a layer asks for something that `attend` does not do.
    """
    config = module.config
    kind = config.layer_types[module.layer_idx] if getattr(config, "layer_types", None) else None
    windowed = kind == "sliding_attention" if kind else getattr(config, "sliding_window", None) is not None
    if (windowed and sliding_window is None) or s_aux is not None or position_bias is not None:
        raise UserError("policy=local cannot serve this model: its attention has sinks, biases or a hidden window.")
    layers[module.layer_idx] = Layer(key.shape[1], key.shape[3], value.shape[3], value.dtype)
    return value.repeat_interleave(query.shape[1] // value.shape[1], 1).transpose(1, 2), None


AttentionInterface.register(KERNEL, attend)
AttentionInterface.register(PROBE, probe)


def _weigh(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, scaling: float, softcap: float | None
) -> torch.Tensor:
    groups = q.shape[1] // k.shape[1]
    if softcap is None:
        return scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scaling, enable_gqa=groups > 1)
    k, v = (x.repeat_interleave(groups, 1) for x in (k, v)) if groups > 1 else (k, v)
    scores = softcap * torch.tanh(q @ k.transpose(2, 3) * (scaling / softcap))
    return (scores if mask is None else scores + mask).float().softmax(-1).to(v.dtype) @ v
