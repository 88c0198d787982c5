"""A model of one layer, in memory."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from agenttrain.model.tiny import Tiny


@pytest.fixture(scope="session")
def loaded():
    found = Tiny(layers=1, hidden=32, heads=2, kv_heads=1, head_dim=16, intermediate=32).load()
    found.model.eval()
    return found


class Says:
    """A model whose next token is the first one of a text, told by a rule from the text so far; later texts of the
    rule's list are less likely. An empty text is the end."""

    def __init__(self, loaded, rule):
        self.device, self.config = loaded.model.device, loaded.model.config
        self.decode, self.encode, self.rule = loaded.tokenizer.decode, loaded.chat.text, rule
        self.opening = loaded.chat.text(" [")[0]
        self.end = loaded.tokenizer.eos_token_id

    def __call__(self, ids, mask, positions, past_key_values=None, use_cache=False, logits_to_keep=0):
        old = past_key_values or [[]] * len(ids)
        shown = mask[:, -ids.shape[1] :].bool()
        rows = [[*said, *row[on].tolist()] for said, row, on in zip(old, ids, shown, strict=True)]
        logits = torch.zeros(*ids.shape, self.config.vocab_size)
        logits[..., self.opening] = -1.0  # after all tokens that a rule does not name
        for row, said in zip(logits, rows, strict=True):
            for place in range(1, min(len(said), len(row)) + 1):
                text = self.decode(said[: len(said) - place + 1])
                for rank, preferred in enumerate(self.rule(text)):
                    token = self.encode(preferred)[0] if preferred else self.end
                    row[-place, token] = 30 - rank
        return SimpleNamespace(logits=logits[:, -logits_to_keep:], past_key_values=rows)


@pytest.fixture
def says(loaded):
    """rule -> a loaded model that follows it."""
    return lambda rule: replace(loaded, model=Says(loaded, rule))
