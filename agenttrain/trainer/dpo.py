"""Preference pairs of episodes -> a policy that makes the chosen likelier than the rejected, on TRL's DPOTrainer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from agenttrain.errors import UserError
from agenttrain.ranges import Count, NonNegative, Positive
from agenttrain.trainer import checkpoints
from agenttrain.trainer.arguments import trl_arguments
from agenttrain.trainer.masks import find_fault
from agenttrain.trainer.tokens import IGNORED, label_example
from agenttrain.types import Example

if TYPE_CHECKING:
    from trl import DPOConfig

    from agenttrain.model.chat import Chat
    from agenttrain.model.loaded import Loaded
    from agenttrain.trainer.direct import DirectTrainer, Row


@dataclass(frozen=True)
class Preferred:
    """Two episodes of a task, of which the first is to become likelier, compared with the second."""

    task: str
    chosen: Example
    rejected: Example


@dataclass(frozen=True)
class Course:
    """What became of one pair: log-probs of its trained tokens in nats, before and after, and how many those are."""

    task: str
    chosen: tuple[float, float]
    rejected: tuple[float, float]
    tokens: tuple[int, int]
    """Of the chosen and of the rejected."""

    @property
    def margin(self) -> float:
        """How much more likely, in nats, the chosen became than the rejected."""
        return (self.chosen[1] - self.chosen[0]) - (self.rejected[1] - self.rejected[0])


@dataclass
class Figures:
    """What a run reports."""

    trained: list[Course]
    heldout: list[Course]
    too_long: int
    """Pairs that were left out because an episode does not fit into `max_length`."""
    equal: int
    """Pairs that were left out because both say the same."""
    steps: int
    train_loss: float | None
    """Of the last logged steps."""
    seconds: float
    notes: list[str] = field(default_factory=list)
    """What a reader should know: checkpoints passed over, where training went on from."""


@dataclass(frozen=True)
class Dpo:
    """Direct preference optimization (arXiv 2305.18290); `conf/algo/dpo.yaml` says what each parameter means."""

    loss: Literal["sigmoid", "ipo", "hinge"] = "sigmoid"
    beta: Positive = 0.1
    nll: NonNegative = 0.0
    epochs: Positive = 1.0
    learning_rate: NonNegative = 1e-6
    schedule: str = "linear"
    warmup: NonNegative = 0.1
    weight_decay: NonNegative = 0.0
    max_grad_norm: NonNegative = 1.0
    batch_size: Count = 4
    gradient_accumulation: Count = 1
    max_length: Count = 4096
    bf16: bool | None = None
    gradient_checkpointing: bool | None = None
    logging_steps: Count = 10
    save_steps: Count | None = None
    save_total_limit: Count = 2
    extra: dict[str, Any] = field(default_factory=dict)

    def train(
        self,
        loaded: Loaded,
        pairs: Sequence[Preferred],
        heldout: Sequence[Preferred],
        out: Path,
        seed: int = 0,
        resume: bool = False,
        report_to: Sequence[str] = (),
    ) -> Figures:
        """Train `loaded.model` in place and write it to `<out>/model`; `heldout` pairs are only measured.

        With `resume`, goes on from the newest complete checkpoint in `<out>/checkpoints` to the very weights an
        uninterrupted run would have reached.

        Raises:
            UserError: nothing to train on, a wrong mask, an unknown name in `extra`.
        """
        started = time.monotonic()
        known = [(pair, _row(pair, loaded.chat)) for pair in (*pairs, *heldout)]
        fitting = [(pair, row) for pair, row in known if max(map(len, row.values())) <= self.max_length]
        kept = [(pair, row) for pair, row in fitting if row["chosen"] != row["rejected"]]
        apart = set(map(id, heldout))
        train = [(pair, row) for pair, row in kept if id(pair) not in apart]
        if not train:
            raise UserError(f"No pair to train on fits into algo.max_length={self.max_length} tokens and differs.")
        checkpoint, notes = checkpoints.to_continue(out, resume, loaded.model)
        measured = [(pair, row) for pair, row in kept if id(pair) in apart]
        arguments = self.arguments(out, seed, report_to)
        (trained, found), trainer = self._fit(loaded, [train, measured], arguments, out, checkpoint)
        return Figures(
            trained=trained,
            heldout=found,
            too_long=len(known) - len(fitting),
            equal=len(fitting) - len(kept),
            steps=trainer.state.global_step,
            train_loss=next((log["loss"] for log in reversed(trainer.state.log_history) if "loss" in log), None),
            seconds=time.monotonic() - started,
            notes=[*notes, *_displaced(trained, self.nll)],
        )

    def _fit(
        self,
        loaded: Loaded,
        sets: Sequence[Sequence[tuple[Preferred, Row]]],
        arguments: DPOConfig,
        out: Path,
        checkpoint: Path | None,
    ) -> tuple[list[list[Course]], DirectTrainer]:
        """Train on the first of `sets`; what became of each pair of both."""
        from transformers import PrinterCallback

        from agenttrain.trainer.callbacks import Seal, Watch
        from agenttrain.trainer.direct import DirectTrainer

        rows = [[row for _, row in some] for some in sets]
        with Watch("Training", out / "metrics.jsonl", ("loss", "rewards/accuracies")) as watch:
            trainer = DirectTrainer(
                model=loaded.model,
                args=arguments,
                train_dataset=_dataset(rows[0]),
                processing_class=loaded.tokenizer,
                callbacks=[watch, Seal()],
            )
            trainer.remove_callback(PrinterCallback)
            before = [trainer.started, trainer.logprobs(rows[1], self.batch_size)]
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            after = [trainer.logprobs(some, self.batch_size) for some in rows]
        trainer.save_model(str(out / "model"))
        if trainer.is_world_process_zero():
            (out / "model" / "training_args.bin").unlink()  # a pickle, and no part of a model
        return [_courses(*each) for each in zip(sets, before, after, strict=True)], trainer

    def arguments(self, out: Path, seed: int, report_to: Sequence[str] = ()) -> DPOConfig:
        """TRL's form of these hyper-parameters.

        Raises:
            UserError: `extra` names something that DPOConfig lacks or that has an option here; a refused value.
        """
        import torch
        from trl import DPOConfig

        cuda = torch.cuda.is_available()
        named: dict[str, Any] = {
            "output_dir": str(out / "checkpoints"),
            "seed": seed,
            "loss_type": [self.loss, "sft"] if self.nll else [self.loss],
            "loss_weights": [1.0, self.nll] if self.nll else None,
            "beta": self.beta,
            "precompute_ref_log_probs": True,  # or TRL would load the reference by a path that a built model lacks
            "num_train_epochs": self.epochs,
            "learning_rate": self.learning_rate,
            "lr_scheduler_type": self.schedule,
            "warmup_steps": self.warmup,
            "weight_decay": self.weight_decay,
            "max_grad_norm": self.max_grad_norm,
            "per_device_train_batch_size": self.batch_size,
            "gradient_accumulation_steps": self.gradient_accumulation,
            "max_length": None,  # TRL would cut what is longer in silence
            "use_cpu": not cuda,
            "bf16": cuda if self.bf16 is None else self.bf16,
            "gradient_checkpointing": cuda if self.gradient_checkpointing is None else self.gradient_checkpointing,
            "logging_steps": self.logging_steps,
            "save_strategy": "epoch" if self.save_steps is None else "steps",
            "save_steps": 500 if self.save_steps is None else self.save_steps,
            "save_total_limit": self.save_total_limit,
            "report_to": list(report_to),
            "ddp_find_unused_parameters": False,
            "disable_tqdm": True,
        }
        return trl_arguments(DPOConfig, "dpo", named, self.extra)


def _row(pair: Preferred, chat: Chat) -> Row:
    """
    Raises:
        UserError: a mask is wrong.
    """
    row: Row = {}
    for half, example in (("chosen", pair.chosen), ("rejected", pair.rejected)):
        tokens = label_example(example, chat)
        if fault := find_fault(example, tokens, chat):
            raise UserError(f"{example.source or example.id}: {fault}")
        row |= {half: tokens.ids, f"{half}_labels": tokens.labels}
    return row


def _dataset(rows: list[Row]) -> Any:
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    return Dataset.from_list(rows)


def _courses(
    some: Sequence[tuple[Preferred, Row]], before: Sequence[tuple[float, float]], after: Sequence[tuple[float, float]]
) -> list[Course]:
    found = []
    for (pair, row), (chosen, rejected), (chosen_now, rejected_now) in zip(some, before, after, strict=True):
        tokens = [sum(label != IGNORED for label in row[f"{half}_labels"]) for half in ("chosen", "rejected")]
        found.append(Course(pair.task, (chosen, chosen_now), (rejected, rejected_now), (tokens[0], tokens[1])))
    return found


def per_token(courses: Sequence[Course], half: Literal["chosen", "rejected"]) -> tuple[float, float]:
    """Mean log-prob of a trained token, before and after, in nats; each episode weighs the same."""
    place = ("chosen", "rejected").index(half)
    rows = [(getattr(course, half), course.tokens[place]) for course in courses]
    return fmean(pair[0] / count for pair, count in rows), fmean(pair[1] / count for pair, count in rows)


def _displaced(trained: Sequence[Course], nll: float) -> list[str]:
    """The fault that the loss does not see: it only asks that the rejected fall further."""
    before, after = per_token(trained, "chosen")
    if after >= before - 1e-3:
        return []
    cure = "A lower algo.learning_rate helps, and a larger algo.nll." if nll else "algo.nll=1 holds them."
    return [
        f"The chosen episodes became less likely, too: {before:.3f} to {after:.3f} nats per token (arXiv 2402.13228). "
        f"{cure}"
    ]
