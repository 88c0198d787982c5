"""Token sequences of any lengths -> what a causal model says of them, in batches padded on the left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

FLOATS = 2**26
"""Most logits held at once: 256 MB."""


def weights() -> list[float]:
    """w_t of the paper: max(0, 1 - 0.2 t), divided by their sum; from the sixth token on they are 0."""
    return [(5 - t) / 15 for t in range(5)]


@torch.no_grad()
def weighted_losses(model: Any, rows: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[float]:
    """L_i of each (context, following): -sum_t w_t log p(following_t | context, following_<t), in nats.

    Of fewer than five following tokens those that are there count with their weights; of none the loss is 0. The
    weights are not divided anew, so a call near the end of a text can gain less. A context has one token at least.
    """
    window = torch.tensor(weights(), dtype=torch.float64)
    losses = [0.0] * len(rows)
    sequences = [[*context, *following[:5]] for context, following in rows]
    for places, logits in _batches(model, sequences, keep=6):
        for place, row in zip(places, logits, strict=True):
            following = list(rows[place][1][:5])
            if following:
                predicted = row[-1 - len(following) : -1].double().log_softmax(-1).cpu()
                chosen = predicted[range(len(following)), following]
                losses[place] = -float(window[: len(following)] @ chosen)
    return losses


@torch.no_grad()
def chances(model: Any, rows: Sequence[tuple[Sequence[int], Sequence[int]]], token: int) -> list[list[float]]:
    """For each (context, text) the probability of `token` before every token of the text but its first.

    The result has `len(text) - 1` numbers; the first of them stands before the text's second token.
    """
    found: list[list[float]] = [[]] * len(rows)
    for places, logits in _batches(model, [[*context, *text] for context, text in rows]):
        for place, row in zip(places, logits, strict=True):
            count = len(rows[place][1])
            said = row[len(row) - count : -1].double()  # the first of them has read the text's first token
            found[place] = (said[:, token] - said.logsumexp(-1)).exp().tolist()
    return found


@torch.no_grad()
def write(
    model: Any,
    contexts: Sequence[Sequence[int]],
    pick: Callable[[Tensor], Tensor],
    over: Callable[[list[int]], bool],
    most: int,
) -> list[list[int]]:
    """Continue all contexts at once, token by token.

    Args:
        pick: logits (rows, vocabulary), float64 -> the next token of each row.
        over: whether a row that has written these tokens is at its end.
        most: tokens that a row may write.
    """
    ids, mask, positions = _padded(contexts, model.device)
    written: list[list[int]] = [[] for _ in contexts]
    open_rows = set(range(len(contexts)))
    cache = None
    for _ in range(most if contexts else 0):
        output = model(ids, mask, positions, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache, tokens = output.past_key_values, pick(output.logits[:, -1].double())
        for row in list(open_rows):
            written[row].append(int(tokens[row]))
            if over(written[row]):
                open_rows.discard(row)
        if not open_rows:
            break
        ids, positions = tokens[:, None], positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
    return written


def _batches(model: Any, sequences: Sequence[Sequence[int]], keep: int = 0) -> Iterator[tuple[list[int], Tensor]]:
    """(places, logits) of sequences of similar length; the last `keep` positions, 0 for all."""
    order = sorted(range(len(sequences)), key=lambda place: len(sequences[place]))
    vocabulary = model.config.vocab_size
    while order:
        length = len(sequences[order[-1]])
        count = max(1, min(FLOATS // (vocabulary * min(length, keep or length)), 16384 // length))
        places, order = order[-count:], order[:-count]
        batch = _padded([sequences[place] for place in places], model.device)
        yield places, model(*batch, use_cache=False, logits_to_keep=keep).logits


def _padded(sequences: Sequence[Sequence[int]], device: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, mask and positions, each (rows, longest), padded on the left."""
    longest = max(map(len, sequences), default=0)
    ids = [[0] * (longest - len(row)) + list(row) for row in sequences]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in sequences]
    masks = torch.tensor(mask, device=device)
    return torch.tensor(ids, device=device), masks, (masks.cumsum(-1) - 1).clamp(min=0)
