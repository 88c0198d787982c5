"""Pairs of labelled tokens -> TRL's DPOTrainer, with loss on the agent's tokens alone; private touches of it are here.

TRL 1.16 takes all that follows the prompt for the completion, what the environment answered included. Its loss goes by
a mask, though, which a collator may set: ours sets it where a label is. The reference is the policy as it starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from trl import DPOTrainer

from agenttrain.trainer.tokens import IGNORED
from agenttrain.watch import progress

Row = dict[str, list[int]]
"""`chosen`, `chosen_labels`, `rejected` and `rejected_labels`."""


class DirectTrainer(DPOTrainer):
    """Direct preference optimization over whole episodes (arXiv 2305.18290)."""

    model: Any

    def __init__(self, **kwargs: Any) -> None:
        self._pad_id: int = kwargs["processing_class"].pad_token_id
        super().__init__(**kwargs, data_collator=self._collate)
        if "ref" in getattr(self.model, "peft_config", {}):
            self.model.delete_adapter("ref")  # TRL's copy of the adapter; what it would be asked for is known already

    @torch.no_grad()
    def logprobs(self, rows: Iterable[Row], batch_size: int) -> list[tuple[float, float]]:
        """Of each pair, the log-probs of the chosen's and the rejected's labelled tokens by the policy now, in nats."""
        rows, found, training = list(rows), [], self.model.training
        self.model.eval()
        with progress("Log-probs", len(rows), unit="pairs") as bar:
            for start in range(0, len(rows), batch_size):
                part = self._collate(rows[start : start + batch_size])
                batch = {name: value.to(self.args.device) for name, value in part.items()}
                labels = batch["input_ids"].masked_fill(batch.pop("completion_mask") == 0, IGNORED)
                with self.accelerator.autocast():
                    output = self.model(**batch, labels=labels, use_cache=False, fused_lm_head=True)
                chosen, rejected = output.log_probs.sum(1).chunk(2)
                found += zip(chosen.tolist(), rejected.tolist(), strict=True)
                bar.advance(len(chosen))
        self.model.train(training)
        return found

    @property
    def started(self) -> list[tuple[float, float]]:
        """`logprobs` of the training pairs, as they were before the first step."""
        known: Any = self.train_dataset
        return list(zip(known["ref_chosen_logps"], known["ref_rejected_logps"], strict=True))

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """None: TRL's calls a locally built model "a fine-tuned version of [None]"."""

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        halves = ("chosen", "rejected")
        self._signature_columns = [*halves, *(f"{h}_labels" for h in halves), *(f"ref_{h}_logps" for h in halves)]

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        """In memory, and by every process for itself; TRL's goes by a file, with a bar of its own."""
        chosen, rejected = zip(*self.logprobs(dataset, batch_size), strict=True)
        return dataset.add_column("ref_chosen_logps", chosen).add_column("ref_rejected_logps", rejected)

    def _collate(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """The chosen of all rows, then the rejected, padded at the right; `completion_mask` is 1 where a label is."""
        halves = [(row[half], row[f"{half}_labels"]) for half in ("chosen", "rejected") for row in rows]
        shape = len(halves), max(len(ids) for ids, _ in halves)
        ids = torch.full(shape, self._pad_id)
        attended, labelled = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
        for n, (tokens, labels) in enumerate(halves):
            ids[n, : len(tokens)] = torch.tensor(tokens)
            attended[n, : len(tokens)] = 1
            labelled[n, : len(tokens)] = torch.tensor(labels).ne(IGNORED)
        batch = {"input_ids": ids, "attention_mask": attended, "completion_mask": labelled}
        known = [name for name in ("ref_chosen_logps", "ref_rejected_logps") if name in rows[0]]
        return batch | {name: torch.tensor([row[name] for row in rows]) for name in known}
