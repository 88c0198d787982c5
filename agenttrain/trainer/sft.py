"""Examples -> a checkpoint that imitates their trained turns, on TRL's SFTTrainer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from agenttrain.ranges import Count, NonNegative, Positive, Share
from agenttrain.trainer import checkpoints
from agenttrain.trainer.arguments import trl_arguments
from agenttrain.trainer.heldout import split
from agenttrain.trainer.masks import Account, label_all
from agenttrain.trainer.tokens import Overlong, Tokens
from agenttrain.types import Example

if TYPE_CHECKING:
    from trl import SFTConfig

    from agenttrain.model.loaded import Loaded
    from agenttrain.trainer.supervised import SupervisedTrainer


@dataclass
class Figures:
    """What a run reports. Losses are means over tokens with loss, in nats; None where nothing is held out."""

    account: Account
    trained: list[Example]
    """The records that trained: those kept, without the held-out ones."""
    heldout_records: int
    heldout_before: float | None
    heldout_after: float | None
    train_loss: float | None
    """Of the last logged steps."""
    steps: int
    seconds: float
    """Wall time of training and held-out losses, of this process alone if it resumed."""
    notes: list[str] = field(default_factory=list)
    """What a reader should know: checkpoints passed over, where training went on from."""
    named: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Loss before and after on each named held-out set."""


@dataclass(frozen=True)
class Sft:
    """Supervised fine-tuning; `conf/algo/sft.yaml` says what each parameter means."""

    epochs: Positive = 3.0
    max_steps: Count | None = None
    learning_rate: NonNegative = 2e-5
    schedule: str = "cosine"
    warmup: NonNegative = 0.03
    weight_decay: NonNegative = 0.0
    max_grad_norm: NonNegative = 1.0
    batch_size: Count = 8
    gradient_accumulation: Count = 1
    max_length: Count = 4096
    overlong: Overlong = "turn"
    packing: Literal[False, "bfd"] = False
    group_by_length: bool = True
    bf16: bool | None = None
    gradient_checkpointing: bool | None = None
    heldout: Share = 0.1
    eval_steps: Count | None = None
    logging_steps: Count = 10
    save_steps: Count | None = None
    save_total_limit: Count = 2
    extra: dict[str, Any] = field(default_factory=dict)

    def train(
        self,
        loaded: Loaded,
        examples: Iterable[Example],
        out: Path,
        seed: int = 0,
        resume: bool = False,
        report_to: Sequence[str] = (),
        named: Mapping[str, Iterable[Example]] | None = None,
    ) -> Figures:
        """Train `loaded.model` in place and write it to `<out>/model`.

        Held-out losses are on `named` sets; without any, on a part of `examples` that does not train. `report_to`
        names loggers besides `<out>/metrics.jsonl`. With `resume`, goes on from the newest complete checkpoint in
        `<out>/checkpoints` to the very weights an uninterrupted run would have reached.

        Raises:
            UserError: nothing to train, a wrong mask, an unknown name in `extra`.
        """
        started = time.monotonic()
        rows, account = label_all(examples, loaded.chat, self.max_length, self.overlong)
        sets = {name: self._tokens(some, loaded) for name, some in (named or {}).items()}
        train, kept_out = split(rows, 0.0 if sets else self.heldout, seed)
        heldout = sets or ({"": [tokens for _, tokens in kept_out]} if kept_out else {})
        checkpoint, notes = checkpoints.to_continue(out, resume, loaded.model)
        losses, trainer = self._fit(loaded, [tokens for _, tokens in train], heldout, out, seed, checkpoint, report_to)
        before, after = losses.pop("", (None, None))
        return Figures(
            account=account,
            trained=[example for example, _ in train],
            heldout_records=len(kept_out),
            heldout_before=before,
            heldout_after=after,
            train_loss=next((log["loss"] for log in reversed(trainer.state.log_history) if "loss" in log), None),
            steps=trainer.state.global_step,
            seconds=time.monotonic() - started,
            notes=notes,
            named=losses,
        )

    def _tokens(self, examples: Iterable[Example], loaded: Loaded) -> list[Tokens]:
        return [tokens for _, tokens in label_all(examples, loaded.chat, self.max_length, self.overlong)[0]]

    def arguments(self, out: Path, seed: int, evaluate: bool, report_to: Sequence[str] = ()) -> SFTConfig:
        """TRL's form of these hyper-parameters.

        Raises:
            UserError: `extra` names something that SFTConfig lacks or that has an option here; a refused value.
        """
        import torch
        from trl import SFTConfig

        cuda = torch.cuda.is_available()
        named: dict[str, Any] = {
            "output_dir": str(out / "checkpoints"),
            "seed": seed,
            "num_train_epochs": self.epochs,
            "max_steps": -1 if self.max_steps is None else self.max_steps,
            "learning_rate": self.learning_rate,
            "lr_scheduler_type": self.schedule,
            "warmup_steps": self.warmup,
            "weight_decay": self.weight_decay,
            "max_grad_norm": self.max_grad_norm,
            "per_device_train_batch_size": self.batch_size,
            "per_device_eval_batch_size": self.batch_size,
            "gradient_accumulation_steps": self.gradient_accumulation,
            # Records were cut at turns already; packing wants the length of its rows.
            "max_length": self.max_length if self.packing else None,
            "packing": bool(self.packing),
            "packing_strategy": "bfd",
            "eval_packing": False,
            "train_sampling_strategy": "group_by_length" if self.group_by_length and not self.packing else "random",
            "use_cpu": not cuda,
            "bf16": cuda if self.bf16 is None else self.bf16,
            "gradient_checkpointing": cuda if self.gradient_checkpointing is None else self.gradient_checkpointing,
            "eval_strategy": ("epoch" if self.eval_steps is None else "steps") if evaluate else "no",
            "eval_steps": self.eval_steps,
            "logging_steps": self.logging_steps,
            "save_strategy": "epoch" if self.save_steps is None else "steps",
            "save_steps": 500 if self.save_steps is None else self.save_steps,
            "save_total_limit": self.save_total_limit,
            "report_to": list(report_to),
            "disable_tqdm": True,
        }
        return trl_arguments(SFTConfig, "sft", named, self.extra)

    def _fit(
        self,
        loaded: Loaded,
        train: list[Tokens],
        heldout: Mapping[str, list[Tokens]],
        out: Path,
        seed: int,
        checkpoint: Path | None,
        report_to: Sequence[str],
    ) -> tuple[dict[str, tuple[float, float]], SupervisedTrainer]:
        """Losses before and after by held-out set; a set without a name stands alone."""
        from transformers import PrinterCallback

        from agenttrain.trainer.callbacks import Seal, Watch
        from agenttrain.trainer.supervised import SupervisedTrainer, check_packing

        arguments = self.arguments(out, seed, bool(heldout), report_to)
        # Once before the first step; a resumed run finds that figure in the checkpoint's history.
        arguments.eval_on_start = bool(heldout) and checkpoint is None
        sets = {name: _dataset(rows) for name, rows in heldout.items()}
        with Watch("Training", out / "metrics.jsonl") as watch:
            trainer = SupervisedTrainer(
                model=loaded.model,
                args=arguments,
                train_dataset=_dataset(train),
                eval_dataset=sets.get("", sets) if sets else None,
                processing_class=loaded.tokenizer,
                callbacks=[watch, Seal()],
            )
            trainer.remove_callback(PrinterCallback)
            if self.packing:
                check_packing(trainer.model, len(loaded.tokenizer))
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            if any(_last_step(trainer, name) != trainer.state.global_step for name in sets):
                trainer.evaluate()
            losses = {name: [loss for _, loss in _heldout_losses(trainer, name)] for name in sets}
        trainer.save_model(str(out / "model"))
        if trainer.is_world_process_zero():
            (out / "model" / "training_args.bin").unlink()  # a pickle, and no part of a model
        return {name: (found[0], found[-1]) for name, found in losses.items()}, trainer


def _dataset(rows: list[Tokens]) -> Any:
    """8 bytes a token. `Dataset.from_dict` makes the same of lists, and takes eight times as much on its way."""
    import numpy
    import pyarrow
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    ends = numpy.cumsum([0, *(len(row.ids) for row in rows)])

    def column(lists: Iterable[list[int]]) -> Any:
        flat = numpy.fromiter(chain.from_iterable(lists), numpy.int32, ends[-1])
        return pyarrow.ListArray.from_arrays(pyarrow.array(ends, pyarrow.int32()), pyarrow.array(flat))

    columns = {"input_ids": column(row.ids for row in rows), "labels": column(row.labels for row in rows)}
    return Dataset(pyarrow.table(columns), fingerprint=uuid4().hex)  # the usual one is made from a copy of all


def _heldout_losses(trainer: SupervisedTrainer, name: str) -> list[tuple[int, float]]:
    key = f"eval_{name}_loss" if name else "eval_loss"
    return [(int(log["step"]), log[key]) for log in trainer.state.log_history if key in log]


def _last_step(trainer: SupervisedTrainer, name: str) -> int | None:
    return next((step for step, _ in reversed(_heldout_losses(trainer, name))), None)
