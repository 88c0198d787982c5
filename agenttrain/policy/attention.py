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
    places: torch.Tensor
    """Of every token, its row within the page."""
    positions: torch.Tensor
    """Of every token, its place within the row."""
    low: int
    high: int
    """Rows of the page from the first to the last one concerned."""
    first: int
    reach: int
    """Least and greatest position, the latter plus one."""
    reads: bool
    """True if the tokens are of one row."""
    masks: dict[int | None, tuple[int, torch.Tensor]] = field(default_factory=dict)

    @property
    def holes(self) -> bool:
        """True if rows between `low` and `high` have no token here: what they compute is thrown away."""
        return not self.reads and self.high - self.low > self.tokens.stop - self.tokens.start

    def spread(self, tokens: torch.Tensor) -> torch.Tensor:
        """From one entry per token to one per row from `low` to `high`, 0 where there is no token."""
        rows = tokens.new_zeros(self.high - self.low, *tokens.shape[1:])
        return rows.index_copy_(0, self.places - self.low, tokens)

    def mask(self, window: int | None, dtype: torch.dtype) -> tuple[int, torch.Tensor]:
        """The first key that any query of a layer with this sliding window sees, and what is added to the scores of the
        keys from there on; the same for all such layers, so made once."""
        if window not in self.masks:
            begin = max(0, self.first - window + 1) if window else 0
            keys = torch.arange(begin, self.reach, device=self.positions.device)
            positions = (self.spread(self.positions) if self.holes else self.positions)[:, None]
            hidden = keys > positions
            if window:
                hidden |= keys <= positions - window
            mask = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(hidden, -torch.inf)
            self.masks[window] = begin, mask if self.reads else mask[:, None, None]
        return self.masks[window]


def blocks(pieces: Sequence[tuple[Row, int]], positions: torch.Tensor, places: torch.Tensor) -> list[Block]:
    """The blocks of a batch: rows with the number of their new tokens, single ones first and sorted by page and place;
    `positions` and `places` are those of all tokens."""
    made: list[Block] = []
    begin = number = 0
    while number < len(pieces):
        row, count = pieces[number]
        group = [row]
        while count == 1 and number + len(group) < len(pieces):
            other, more = pieces[number + len(group)]
            if more > 1 or other.page is not row.page:
                break
            group.append(other)
        tokens = slice(begin, begin + count * len(group))
        bounds = row.place, group[-1].place + 1
        reach = min(row.length for row in group), max(row.length for row in group) + count
        made.append(Block(row.page, tokens, places[tokens], positions[tokens], *bounds, *reach, reads=count > 1))
        begin, number = tokens.stop, number + len(group)
    return made


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
        k[block.places, :, block.positions] = keys[block.tokens]
        v[block.places, :, block.positions] = values[block.tokens]
        begin, mask = block.mask(sliding_window, dtype)
        k, v = (rows[block.low : block.high, :, begin : block.reach] for rows in (k, v))
        q = queries[block.tokens]
        if block.reads:
            result = _weigh(q.transpose(0, 1)[None], k, v, mask, scaling, softcap)[0].transpose(0, 1)
        else:
            q = q.unflatten(1, (heads, -1))
            result = _weigh(block.spread(q) if block.holes else q, k, v, mask, scaling, softcap).flatten(1, 2)
            if block.holes:
                result = result[block.places - block.low]
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
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor, scaling: float, softcap: float | None
) -> torch.Tensor:
    groups = q.shape[1] // k.shape[1]
    if softcap is None:
        return scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scaling, enable_gqa=groups > 1)
    k, v = (x.repeat_interleave(groups, 1) for x in (k, v)) if groups > 1 else (k, v)
    scores = softcap * torch.tanh(q @ k.transpose(2, 3) * (scaling / softcap))
    return (scores + mask).float().softmax(-1).to(v.dtype) @ v
