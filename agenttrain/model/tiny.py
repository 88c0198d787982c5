"""Nothing -> a small model of a real architecture: Qwen3 (arXiv 2505.09388) with 1 to 5 million random weights.

It needs no hub and no account, and from here on goes the way of every other model: written in Hugging Face form, read
back by `Pretrained`. Its byte-level BPE tokenizer was trained by `scripts/train_tiny_tokenizer.py`; its chat template
says in one token what ChatML says in three, so that an episode of twenty turns stays short enough for a laptop.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path

from agenttrain.errors import UserError
from agenttrain.model.loaded import Loaded
from agenttrain.model.lora import Lora
from agenttrain.model.pretrained import Pretrained, quiet, read
from agenttrain.ranges import Count, Whole

TOKENIZER = Path(__file__).parent / "tiny_tokenizer"
INITIAL_STD = 0.05
"""Standard deviation of the weights. The usual 0.02 suits layers ten times as wide; here learning is slower with it
and depends more on the seed (docs/LOG.md)."""
SETTINGS = "tiny.json"
"""Beside the weights: what they were built from."""


@dataclass(frozen=True)
class Tiny:
    """A Qwen3 with random weights, seeded."""

    layers: Count = 2
    hidden: Count = 192
    """Width of the residual stream."""
    heads: Count = 6
    """Query heads, of `head_dim` each."""
    kv_heads: Count = 2
    """Key and value heads, shared by groups of query heads."""
    head_dim: Count = 32
    intermediate: Count = 384
    """Width of the feed-forward layers."""
    context: Count = 8192
    """Longest sequence, in tokens."""
    seed: Whole = 0
    """Seeds the weights."""
    lora: Lora = field(default_factory=Lora)
    """The adapter to train."""

    def check(self) -> None:
        """Nothing can be wrong with a model that is yet to be built."""

    def load(self, workdir: Path | None = None, trainable: bool = False) -> Loaded:
        """See `agenttrain.model.loaded.Model`; written to `<workdir>/base` first.

        Raises:
            UserError: `workdir` holds a tiny model of other settings (a run resumed with another shape or seed).
        """
        if workdir is not None:
            workdir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=workdir) as temporary:
            built = Path(temporary) / "base"
            if workdir is None or not (workdir / "base").exists():
                self.build(built)
            folder = built if workdir is None else self._settle(built, workdir / "base")
            loaded = read(Pretrained(lora=self.lora), str(folder), trainable)
        loaded.name = f"tiny-{self.seed}"
        return loaded

    def _settle(self, built: Path, folder: Path) -> Path:
        """Move what was built to its place, whole or not at all; of several processes the first one wins."""
        if built.exists():
            with suppress(OSError):  # the folder is there already: another process built the same
                built.rename(folder)
        if json.loads((folder / SETTINGS).read_text()) != self._settings():
            raise UserError(f"{folder} holds a tiny model of other settings; resume with those of the first run.")
        return folder

    def _settings(self) -> dict[str, int]:
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "lora"}

    def build(self, folder: Path) -> None:
        """Write weights, configuration and tokenizer to `folder`."""
        import torch
        from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

        quiet()
        tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
        config = Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=self.hidden,
            intermediate_size=self.intermediate,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            head_dim=self.head_dim,
            max_position_embeddings=self.context,
            tie_word_embeddings=True,
            initializer_range=INITIAL_STD,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            model = Qwen3ForCausalLM(config)
        folder.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(folder)
        for file in TOKENIZER.iterdir():
            shutil.copy(file, folder / file.name)
        (folder / SETTINGS).write_text(json.dumps(self._settings()))
