"""A model's forward pass over many conversations at once, each with a row of cache that is kept across turns.

A conversation's tokens enter the model once. Each call feeds some rows what is new in them (a piece of a prompt or an
observation, or the last sampled token: all the same operation), as one flat sequence without padding.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from typing import Any

import psutil
import torch

from agenttrain.errors import UserError
from agenttrain.policy.attention import KERNEL, PROBE, blocks
from agenttrain.policy.cache import Cache, Layer, Row
from agenttrain.policy.cast import Cast

_log = logging.getLogger(__name__)


class Engine:
    """Rows of cache around a causal language model of transformers.

    Args:
        model: a `PreTrainedModel` or a `PeftModel`; its weights are read at each call, so a model in training acts with
            what it has learned so far.
        context: longest conversation, in tokens.
        cache_gb: memory for keys and values, in GiB; None is half of what is free when the first row is asked for.
        dtype: type to cast float32 weights to until `close`; they are those of the moment when the first row was asked
            for. None: computes with the weights themselves.

    Raises:
        UserError: a model whose layers, attention or output this forward pass would not do justice to.
    """

    def __init__(
        self, model: Any, context: int, cache_gb: float | None = None, dtype: torch.dtype | None = None
    ) -> None:
        self.model = model
        self.causal = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.config = self.causal.config.get_text_config()
        _check_served(self.causal, self.config)
        self.context = min(context, self.config.max_position_embeddings)
        self.cache_gb, self.dtype = cache_gb, dtype
        self.device = next(self.causal.parameters()).device
        self._cache: Cache | None = None
        self._cast: Cast | None = None
        self._trains = False

    @property
    def cache(self) -> Cache:
        """Made when first asked for; from then on until `close` the model is in evaluation mode.

        Raises:
            UserError: the budget holds less than two pages, or the model is one that cannot be served.
        """
        if self._cache is None:
            self._trains = self.model.training
            self.model.eval()  # here and not for each pass: it visits every module
            self._cast = Cast(self.causal, self.dtype) if self.dtype else None
            try:
                self._cache = self._open()
            except BaseException:
                self.close()
                raise
        return self._cache

    def close(self) -> None:
        """Give the cache's memory back, and the model as it was. No row is valid any more."""
        self._cache = None
        if self._cast:
            self._cast.undo()
        if self._trains:
            self.model.train()
        self._cast, self._trains = None, False

    def _open(self) -> Cache:
        layers = self._probe()
        budget = self.cache_gb * 2**30 if self.cache_gb else _available(self.device) / 2
        cache = Cache(layers, self.context, budget, self.device)
        if cache.pages < 2:
            least = 2 * cache.page_tokens * cache.token_bytes / 2**30
            raise UserError(
                f"policy: {budget / 2**30:.2g} GiB of cache do not hold conversations of {self.context} tokens.\n"
                f"Set policy.cache_gb to {least:.2g} at least, or policy.context to less."
            )
        _log.info(
            "policy=local keeps up to %.2g GiB of keys and values: %d pages of %d tokens.",
            cache.pages * cache.page_tokens * cache.token_bytes / 2**30,
            cache.pages,
            cache.page_tokens,
        )
        return cache

    @torch.no_grad()
    def feed(self, rows: Sequence[Row], tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        """Append `tokens[i]` to `rows[i]`, which has room for them; logits after the last of each, `(rows, vocab)`."""
        # Single tokens first, in the order of their pages.
        order = sorted(range(len(rows)), key=lambda i: (len(tokens[i]) > 1, rows[i].shelf.capacity, rows[i].index))
        ids, positions, places, last = [], [], [], [0] * len(rows)
        for i in order:
            row, new = rows[i], tokens[i]
            ids += new
            positions += range(row.length, row.length + len(new))
            places += [row.place] * len(new)
            last[i] = len(ids) - 1
        # One transfer: on a GPU each has its price.
        batch = torch.tensor([ids, positions, places], device=self.device)
        cut = blocks([(rows[i], len(tokens[i])) for i in order], batch[1], batch[2])
        logits = self._forward(batch[:1], batch[1:2], torch.tensor(last, device=self.device), batch=cut)
        for row, new in zip(rows, tokens, strict=True):
            row.length += len(new)
        return logits

    @torch.no_grad()
    def _probe(self) -> list[Layer]:
        """What each layer keeps of a token, seen by asking the model.

        Raises:
            UserError: it has layers that do not attend in the way of `attention.attend`.
        """
        layers: dict[int, Layer] = {}
        one = torch.zeros(1, 1, dtype=torch.long, device=self.device)
        self._forward(one, one, one[0], kernel=PROBE, layers=layers)
        if sorted(layers) != list(range(self.config.num_hidden_layers)):
            raise UserError("policy=local cannot serve this model: not all of its layers keep keys and values.")
        return [layers[number] for number in sorted(layers)]

    def _forward(
        self, ids: torch.Tensor, positions: torch.Tensor, last: torch.Tensor, kernel: str = KERNEL, **more: Any
    ) -> torch.Tensor:
        """Logits at the places `last` of one sequence `(1, tokens)`; `more` goes to the attention kernel."""
        own = self.config._attn_implementation
        self.config._attn_implementation = kernel
        try:
            # The class's own forward: on the model itself TRL puts one that gives no logits.
            output = type(self.causal).forward(
                self.causal,
                input_ids=ids,
                position_ids=positions,
                logits_to_keep=last,
                use_cache=False,
                **more,
            )
        finally:
            self.config._attn_implementation = own
        return output.logits[0]


def _check_served(causal: Any, config: Any) -> None:
    """Rather a refusal than log-probs that are not the model's own."""
    kinds = set(getattr(config, "layer_types", None) or []) - {"full_attention", "sliding_attention"}
    if kinds:
        raise UserError(
            f"policy=local serves full and sliding-window attention; this model has {', '.join(sorted(kinds))}."
        )
    if not causal._supports_attention_backend or "logits_to_keep" not in inspect.signature(causal.forward).parameters:
        raise UserError(f"policy=local cannot serve {type(causal).__name__}: its attention is not exchangeable.")
    if getattr(config, "use_bidirectional_attention", False):
        raise UserError("policy=local cannot serve a model that looks ahead (use_bidirectional_attention).")
    ropes = getattr(config, "rope_parameters", None) or {}
    ropes = ropes.values() if all(isinstance(value, dict) for value in ropes.values()) else [ropes]
    for kind in {rope.get("rope_type") for rope in ropes} & {"dynamic", "longrope"}:
        raise UserError(
            f"policy=local cannot serve rotary embeddings of type {kind}: they change with the longest sequence."
        )


def _available(device: torch.device) -> int:
    """Bytes of free memory."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
