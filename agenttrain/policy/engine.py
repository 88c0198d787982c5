"""A model's forward pass over many conversations at once, each with a key-value row of its own kept across turns.

A conversation's tokens enter the model once. Each call feeds some rows a few new tokens at their own positions (a
prompt, an observation, or the last sampled token: all the same operation); a key is visible to a query if it stands at
or before the query's position, which makes ragged rows, padding and reuse of a row correct by the same rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import Cache

from agenttrain.errors import UserError


class Engine:
    """Rows of key-value cache around a causal language model of transformers.

    Args:
        model: a `PreTrainedModel` or a `PeftModel`; its weights are read at each call, so a model in training acts with
            what it has learned so far.
        rows: number of conversations held at once.
        context: longest conversation, in tokens.

    Raises:
        UserError: a model whose layers, attention kernel or output this forward pass would not do justice to.
    """

    def __init__(self, model: Any, rows: int, context: int) -> None:
        self.model = model
        causal = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.backbone, self.head = causal.base_model, causal.get_output_embeddings()
        config = causal.config.get_text_config()
        _check_served(config)
        self.context = min(context, config.max_position_embeddings)
        self.rows = rows
        self.device = next(causal.parameters()).device
        self.lengths = [0] * rows
        """Tokens that stand in each row."""
        self.cache = _Rows(rows, self.context)

    @torch.no_grad()
    def feed(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        """Append `tokens[i]` to row `rows[i]`; logits after each row's last new token, float32 `(len(rows), vocab)`.

        Rows fed the same tokens from an empty row (a group's shared prompt) are computed once.
        """
        if len(rows) > 1 and all(self.lengths[row] == 0 for row in rows):
            return self._feed_shared(rows, tokens)
        return self._forward(rows, tokens)

    def clear(self, row: int) -> None:
        """Make a row empty. What it held is overwritten before anything can see it."""
        self.lengths[row] = 0

    def _feed_shared(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        first: dict[tuple[int, ...], int] = {}
        leaders = [first.setdefault(tuple(ids), i) for i, ids in enumerate(tokens)]
        unique = sorted(set(leaders))
        logits = self._forward([rows[i] for i in unique], [tokens[i] for i in unique])
        if len(unique) < len(rows):
            for i, leader in enumerate(leaders):
                if i != leader:
                    self.cache.copy(rows[leader], rows[i], len(tokens[i]))
                    self.lengths[rows[i]] = len(tokens[i])
            position = {i: at for at, i in enumerate(unique)}
            logits = logits[[position[leader] for leader in leaders]]
        return logits

    def _forward(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        counts = [len(ids) for ids in tokens]
        width = max(counts)
        starts = torch.tensor([self.lengths[row] for row in rows])
        # Padding stands behind a row's real tokens; the next call writes over it, and until then no query sees it.
        ids = torch.tensor([list(ids) + [0] * (width - len(ids)) for ids in tokens], device=self.device)
        positions = (starts[:, None] + torch.arange(width)).to(self.device)
        reach = int(starts.max()) + width
        self.cache.aim(rows, positions, reach)
        hidden_from = torch.arange(reach, device=self.device) > positions[:, :, None]
        dtype = self.head.weight.dtype
        mask = torch.zeros(hidden_from.shape, dtype=dtype, device=self.device)
        mask.masked_fill_(hidden_from, torch.finfo(dtype).min)
        hidden = self.backbone(
            input_ids=ids,
            attention_mask=mask[:, None],
            position_ids=positions.clamp(max=self.context - 1),
            past_key_values=self.cache,
            use_cache=True,
        ).last_hidden_state
        for row, count in zip(rows, counts, strict=True):
            self.lengths[row] += count
        last = hidden[torch.arange(len(rows)), torch.tensor(counts) - 1]
        return self.head(last).float()


def _check_served(config: Any) -> None:
    """Rather a refusal than log-probs that are not the model's own."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"}:
        raise UserError(f"policy=local serves full attention only; this model has {', '.join(sorted(kinds))}.")
    if "flash" in (kernel := config._attn_implementation or ""):
        raise UserError(f"policy=local needs masks, which {kernel} does not take: set model.attention=sdpa.")
    scales = ("final_logit_softcapping", "logits_scaling", "logit_scale")
    if scaled := [name for name in scales if getattr(config, name, None) not in (None, 1)]:
        raise UserError(f"policy=local cannot serve a model that rescales its logits ({scaled[0]}).")


class _Rows(Cache):
    """Keys and values of all layers, `(rows, length, heads, dim)` each, allocated as far as they are used."""

    def __init__(self, rows: int, context: int) -> None:
        super().__init__(layers=[])
        self.rows, self.context = rows, context
        self.keys: list[torch.Tensor] = []
        self.values: list[torch.Tensor] = []

    def aim(self, rows: Sequence[int], positions: torch.Tensor, reach: int) -> None:
        """Say where the coming `update` calls write: `positions` `(len(rows), width)` of `rows`, seen up to `reach`."""
        self.index = torch.tensor(rows, device=positions.device)
        self.positions, self.reach = positions, reach
        low, high = min(rows), max(rows) + 1
        # Neighbouring rows are read in place; any other choice is gathered into a copy.
        self.block = slice(low, high) if list(rows) == list(range(low, high)) else None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store what is new, `(rows, heads, width, dim)`, and return all that stands, `(rows, heads, reach, dim)`."""
        return self._put(self.keys, key_states, layer_idx), self._put(self.values, value_states, layer_idx)

    def copy(self, source: int, target: int, length: int) -> None:
        """Let row `target` begin with the first `length` tokens of row `source`."""
        for store in (*self.keys, *self.values):
            store[target, :length] = store[source, :length]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens before this call. Masks and positions are ours, so nothing depends on it."""
        return 0

    def _put(self, stores: list[torch.Tensor], new: torch.Tensor, layer: int) -> torch.Tensor:
        new = new.transpose(1, 2)
        if layer == len(stores):
            stores.append(new.new_zeros((self.rows, 0, *new.shape[2:])))
        store = stores[layer]
        if store.shape[1] < self.reach:
            # Doubling keeps the copying a small share, whatever length conversations turn out to have.
            grown = store.new_zeros((self.rows, max(256, 2 * store.shape[1], self.reach), *store.shape[2:]))
            grown[:, : store.shape[1]] = store
            stores[layer] = store = grown
        store[self.index[:, None], self.positions] = new
        seen = store[self.block, : self.reach] if self.block else store[:, : self.reach][self.index]
        return seen.transpose(1, 2)
