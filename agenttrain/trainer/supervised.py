"""Labelled tokens -> TRL's SFTTrainer, corrected in two places; private touches of it are here and in `head.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import EvalLoopOutput
from trl import SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from agenttrain.errors import UserError
from agenttrain.trainer.head import score_labelled_only
from agenttrain.trainer.tokens import IGNORED


class SupervisedTrainer(SFTTrainer):
    """Held-out loss is a mean over tokens (TRL's is one over batches); length groups survive a resume."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        score_labelled_only()
        super().__init__(*args, **kwargs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        self._nll_and_tokens = torch.zeros(2, dtype=torch.float64)
        output = super().evaluation_loop(*args, **kwargs)
        sums = cast(torch.Tensor, self.accelerator.reduce(self._nll_and_tokens.to(self.args.device, torch.float32)))
        nll, tokens = sums.tolist()
        prefix = kwargs.get("metric_key_prefix", "eval")
        (output.metrics or {})[f"{prefix}_loss"] = nll / max(tokens, 1)
        return output

    def prediction_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        # The first label of a sequence is predicted from nothing, and so is in no loss.
        tokens = int((inputs["labels"][:, 1:] != IGNORED).sum())
        loss, logits, labels = super().prediction_step(model, inputs, *args, **kwargs)
        self._nll_and_tokens += torch.tensor([float(loss) * tokens, tokens])
        return loss, logits, labels

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """None beside the checkpoints: TRL's calls a locally built model "a fine-tuned version of [None]"."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        return _LengthGroups(self)


class _LengthGroups(LengthGroupedSampler):
    """Random batches of similar length, in an order that the seed and the epoch alone decide.

    The library's own draws from torch's global generator: a run resumed within an epoch would see another order.
    """

    def __init__(self, trainer: SupervisedTrainer) -> None:
        self._trainer = trainer
        args, dataset = trainer.args, cast(Any, trainer.train_dataset)
        lengths = [len(ids) for ids in dataset["input_ids"]]
        super().__init__(args.train_batch_size * args.gradient_accumulation_steps, dataset=dataset, lengths=lengths)

    def __iter__(self) -> Iterator[int]:
        epoch = int(self._trainer.state.epoch or 0)
        self.generator = torch.Generator().manual_seed(self._trainer.args.seed + epoch)
        return super().__iter__()


def check_packing(model: Any, vocabulary: int) -> None:
    """Raises UserError if, packed into one row, a record sees the one before it.

    Whether it does depends on architecture and attention kernel, so it is tried: another first record must not change
    the logits of the second.
    """
    collate = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    second = [token % vocabulary for token in range(5, 11)]
    training = model.training
    model.eval()
    logits = []
    for shift in (0, 1):
        first = [(token + shift) % vocabulary for token in range(7)]
        row = collate([{"input_ids": first + second, "labels": first + second, "seq_lengths": [7, 6]}])
        row.pop("labels")
        with torch.no_grad():
            output = model(**{name: _to(value, model.device) for name, value in row.items()}, use_cache=False)
        logits.append(output.logits[0, 7:].float())
    model.train(training)
    if not torch.allclose(logits[0], logits[1], atol=1e-4):
        raise UserError(
            "algo.packing=bfd: with this model's attention a record would see the others of its row.\n"
            "Set algo.packing=false, or another kernel (model.attention=sdpa)."
        )


def _to(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, torch.Tensor) else value
