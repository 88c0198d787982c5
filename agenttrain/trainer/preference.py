"""Tokenized pairs or labelled turns -> TRL's RewardTrainer; private touches of it are here."""

from __future__ import annotations

from typing import Any

import torch
from trl import RewardTrainer

from agenttrain.model.scorer import token_logits


class PairTrainer(RewardTrainer):
    """The likelihood of Bradley and Terry, as TRL has it: -log sigmoid(score of the chosen - score of the rejected)."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """None: TRL's calls a locally built model "a fine-tuned version of [None]"."""


class TurnTrainer(PairTrainer):
    """Cross entropy with a probability at some tokens of each sequence, each label with the same say."""

    def __init__(self, **kwargs: Any) -> None:
        self._pad_id: int = kwargs["model"].config.get_text_config().pad_token_id
        super().__init__(**kwargs, data_collator=self._collate)

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        logits = token_logits(self.accelerator.unwrap_model(model), inputs["input_ids"], inputs["attention_mask"])
        known = inputs["labels"].isfinite()
        return torch.nn.functional.binary_cross_entropy_with_logits(logits[known], inputs["labels"][known])

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["ids", "places", "labels"]

    def _collate(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Padded ids, their mask, and labels of the same shape, nan where there is none."""
        shape = len(rows), max(len(row["ids"]) for row in rows)
        ids = torch.full(shape, self._pad_id)
        mask, labels = torch.zeros(shape, dtype=torch.long), torch.full(shape, torch.nan)
        for n, row in enumerate(rows):
            ids[n, : len(row["ids"])] = torch.tensor(row["ids"])
            mask[n, : len(row["ids"])] = 1
            labels[n, row["places"]] = torch.tensor(row["labels"], dtype=torch.float)
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}
