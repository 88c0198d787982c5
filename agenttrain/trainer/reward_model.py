"""Preference pairs or labelled turns -> a reward model, on TRL's RewardTrainer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agenttrain.errors import UserError
from agenttrain.preferences import Pair
from agenttrain.ranges import Count, NonNegative, Positive
from agenttrain.trainer import checkpoints
from agenttrain.trainer.arguments import trl_arguments
from agenttrain.types import Trajectory

if TYPE_CHECKING:
    from trl import RewardConfig

    from agenttrain.model.scorer import Scorer

Labelled = tuple[Trajectory, dict[int, float]]
"""A trajectory, and for some of its turns (by number, from 0) how probably it succeeds from there on, 0 to 1."""


@dataclass
class Figures:
    """What a run reports."""

    examples: int
    """Pairs, or trajectories with labels, that trained."""
    too_long: int
    """Those that were left out because they do not fit into `max_length`."""
    steps: int
    train_loss: float | None
    """Of the last logged steps, in nats per pair or label."""
    seconds: float
    notes: list[str] = field(default_factory=list)
    """What a reader should know: checkpoints passed over, where training went on from."""


@dataclass(frozen=True)
class RewardModel:
    """Training of a scalar head and its trunk; `conf/algo/reward_model.yaml` says what each parameter means."""

    objective: Literal["pairs", "outcomes", "turns"] = "pairs"
    center: NonNegative = 0.01
    epochs: Positive = 1.0
    learning_rate: NonNegative = 1e-5
    schedule: str = "linear"
    warmup: NonNegative = 0.03
    weight_decay: NonNegative = 0.0
    batch_size: Count = 8
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
        scorer: Scorer,
        examples: Sequence[Pair] | Sequence[Labelled],
        out: Path,
        seed: int,
        resume: bool = False,
    ) -> Figures:
        """Train `scorer` in place, on pairs by the likelihood of Bradley and Terry, on labels by cross entropy, and
        write it to `<out>/model`.

        With `resume`, goes on from the newest complete checkpoint in `<out>/checkpoints` to the very weights an
        uninterrupted run would have reached.

        Raises:
            UserError: nothing fits into `max_length`, an unknown name in `extra`, a checkpoint of another model.
        """
        from transformers import PrinterCallback

        from agenttrain.trainer.callbacks import Seal, Watch
        from agenttrain.trainer.preference import PairTrainer, TurnTrainer

        started = time.monotonic()
        rows = [_row(scorer, example) for example in examples]
        kept = [row for row in rows if _length(row) <= min(self.max_length, scorer.context)]
        if not kept:
            raise UserError(f"Nothing to train on fits into algo.max_length={self.max_length} tokens.")
        checkpoint, notes = checkpoints.to_continue(out, resume, scorer.model)
        kind = PairTrainer if isinstance(examples[0], Pair) else TurnTrainer
        with Watch("Training", out / "metrics.jsonl", ("loss", "accuracy")) as watch:
            trainer = kind(
                model=scorer.model,
                args=self.arguments(out, seed),
                train_dataset=_dataset(kept),
                processing_class=scorer.tokenizer,
                callbacks=[watch, Seal()],
            )
            trainer.remove_callback(PrinterCallback)
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        scorer.save(out / "model")
        losses = [log["loss"] for log in trainer.state.log_history if "loss" in log]
        return Figures(
            examples=len(kept),
            too_long=len(rows) - len(kept),
            steps=trainer.state.global_step,
            train_loss=losses[-1] if losses else None,
            seconds=time.monotonic() - started,
            notes=notes,
        )

    def arguments(self, out: Path, seed: int) -> RewardConfig:
        """TRL's form of these hyper-parameters.

        Raises:
            UserError: `extra` names something that RewardConfig lacks or that has an option here; a refused value.
        """
        import torch
        from trl import RewardConfig

        cuda = torch.cuda.is_available()
        named: dict[str, Any] = {
            "output_dir": str(out / "checkpoints"),
            "seed": seed,
            "num_train_epochs": self.epochs,
            "learning_rate": self.learning_rate,
            "lr_scheduler_type": self.schedule,
            "warmup_steps": self.warmup,
            "weight_decay": self.weight_decay,
            "per_device_train_batch_size": self.batch_size,
            "gradient_accumulation_steps": self.gradient_accumulation,
            "center_rewards_coefficient": self.center or None,
            "max_length": None,  # TRL would leave out what is longer in silence
            "use_cpu": not cuda,
            "bf16": cuda if self.bf16 is None else self.bf16,
            "gradient_checkpointing": cuda if self.gradient_checkpointing is None else self.gradient_checkpointing,
            "logging_steps": self.logging_steps,
            "save_strategy": "epoch" if self.save_steps is None else "steps",
            "save_steps": 500 if self.save_steps is None else self.save_steps,
            "save_total_limit": self.save_total_limit,
            "report_to": [],
            "disable_tqdm": True,
        }
        return trl_arguments(RewardConfig, "reward_model", named, self.extra)


def _row(scorer: Scorer, example: Pair | Labelled) -> dict[str, Any]:
    if isinstance(example, Pair):
        return {"chosen_ids": scorer.encode(example.chosen)[0], "rejected_ids": scorer.encode(example.rejected)[0]}
    trajectory, labels = example
    ids, places = scorer.encode(trajectory)
    return {"ids": ids, "places": [places[turn] for turn in labels], "labels": list(labels.values())}


def _length(row: dict[str, Any]) -> int:
    return max(len(row[key]) for key in ("ids", "chosen_ids", "rejected_ids") if key in row)


def _dataset(rows: list[dict[str, Any]]) -> Any:
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    return Dataset.from_list(rows)
