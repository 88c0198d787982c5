"""A trainer's events -> the progress bar, metrics.jsonl and sealed checkpoints. The one place that listens to TRL."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from agenttrain import watch
from agenttrain.trainer import checkpoints


class Watch(TrainerCallback):
    """Shows the steps of a training run and writes every logged figure; use as a context manager around `train()`."""

    def __init__(self, label: str, metrics: Path, shown: tuple[str, ...] = ("loss", "heldout_loss")) -> None:
        """`metrics` is the JSON Lines file to append to; figures named in `shown` stand beside the bar."""
        self._label, self._shown = label, shown
        self._metrics = watch.MetricsFile(metrics)
        self._open = ExitStack()
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar = None
        self._open.__exit__(*error)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        # A resumed run counts its own steps only, or the rate and the time left would be wrong.
        total = state.max_steps - state.global_step
        self._bar = self._open.enter_context(watch.progress(self._label, total, unit="steps"))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._bar.advance(1)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        numbers = {name: value for name, value in (logs or {}).items() if isinstance(value, int | float)}
        figures = {name.replace("eval_", "heldout_", 1): value for name, value in numbers.items()}
        self._metrics.write(step=state.global_step, **figures)
        if self._bar is not None:
            self._bar.advance(0, **{name: value for name, value in figures.items() if name in self._shown})


class Seal(TrainerCallback):
    """Seals each checkpoint when all of its files are on disk, those of the other processes included."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.barrier()
        if state.is_world_process_zero:
            checkpoints.seal(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")
