"""Tasks -> a checkpoint that has learned from its own episodes, on TRL's GRPOTrainer (GRPO, arXiv 2402.03300)."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agenttrain.errors import UserError
from agenttrain.model.loaded import ModelPolicy
from agenttrain.ranges import Count, NonNegative, Positive, Whole
from agenttrain.trainer import checkpoints
from agenttrain.trainer.annealing import Anneal, Annealing, Sampling
from agenttrain.trainer.arguments import trl_arguments
from agenttrain.trainer.drift import OldLogprobs
from agenttrain.trainer.episodes import Flow, KlIn, check_tasks, needs_critic, schedule
from agenttrain.trainer.measuring import HeldOut
from agenttrain.trainer.selection import Curriculum, Selection
from agenttrain.trainer.tokens import Weighting
from agenttrain.types import Credit, Policy, Trajectory

if TYPE_CHECKING:
    from trl import GRPOConfig

    from agenttrain.model.loaded import Loaded
    from agenttrain.trainer.seam import FlowTrainer

_log = logging.getLogger(__name__)


@dataclass
class Curves:
    """What a run reports."""

    steps: list[dict[str, float]]
    """One row of figures per step, in order, those before a resume included."""
    episodes: int
    """Played in the steps of `steps`."""
    seconds: float
    """Wall time of this process."""
    notes: list[str]
    """What a reader should know: checkpoints passed over, where training went on from."""
    played: frozenset[int] = frozenset()
    """Numbers of the tasks of which an episode was learned from, before a resume as well."""
    heldout: dict[int, float] = field(default_factory=dict)
    """Number of steps learned from -> success on the held-out tasks, the first before training, the last after it."""


@dataclass(frozen=True)
class Grpo:
    """Policy-gradient training on whole groups of episodes; `conf/algo/grpo.yaml` says what each parameter means."""

    steps: Count = 100
    tasks_per_step: Count = 16
    group_size: Count = 8
    batch_size: Count = 8
    minibatches: Count = 1
    num_iterations: Count = 1
    learning_rate: NonNegative = 1e-6
    schedule: str = "constant_with_warmup"
    warmup: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    max_grad_norm: NonNegative = 1.0
    loss_type: Literal["grpo", "dapo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo"] = "dapo"
    weighting: Weighting = "token"
    importance_sampling_level: Literal["token", "sequence"] = "token"
    epsilon: NonNegative = 0.2
    epsilon_high: NonNegative | None = None
    beta: NonNegative = 0.0
    kl_in: KlIn = "loss"
    entropy_bonus: NonNegative = 0.0
    entropy_target: Positive | None = None
    entropy_step: Positive = 0.005
    refill: Whole = 0
    filter_silent: bool = False
    curriculum: Curriculum = "none"
    novelty: NonNegative = 0.0
    temperature_end: Positive | None = None
    top_p_end: Positive | None = None
    anneal: Anneal = "linear"
    old_logprobs: OldLogprobs = "auto"
    importance_cap: Positive | None = 2.0
    max_completion_length: Count = 1024
    bf16: bool | None = None
    gradient_checkpointing: bool | None = None
    save_steps: Count = 50
    save_total_limit: Count = 2
    extra: dict[str, Any] = field(default_factory=dict)

    def train(
        self,
        loaded: Loaded,
        flow: Flow,
        out: Path,
        resume: bool = False,
        report_to: Sequence[str] = (),
        keep: Callable[[Trajectory], None] | None = None,
        heldout: HeldOut | None = None,
    ) -> Curves:
        """Train `loaded.model` in place on the episodes of `flow`, and write it to `<out>/model`.

        `keep` receives every episode, scored and with its advantages in `meta`; `heldout` says what is measured between
        the steps.

        The same arguments give the same episodes and weights, on one machine. With `resume`, goes on from the newest
        complete checkpoint in `<out>/checkpoints` to the very weights an uninterrupted run would have reached.

        Raises:
            UserError: numbers that do not divide, nothing that can learn or be learned from, an unknown `extra`.
        """
        began = time.monotonic()
        self.check(flow, report_to)
        if not any(parameter.requires_grad for parameter in loaded.model.parameters()):
            raise UserError("No weight of the model is trainable: set model.lora.r above 0, or do not quantize.")
        if (top_p := getattr(flow.policy, "top_p", 1.0)) < 1:
            _log.warning(
                "policy.top_p=%g samples the likeliest tokens only, but the whole distribution is trained. Tokens are "
                "weighted for it (algo.importance_cap); what is cut off is never tried. Better take policy.top_p=1.0.",
                top_p,
            )
        plan = schedule(len(flow.tasks), self.tasks_per_step, self.steps, flow.seed)
        arguments = self.arguments(out, flow.seed, report_to, temperature=getattr(flow.policy, "temperature", 1.0))
        checkpoint, notes = checkpoints.to_continue(out, resume, loaded.model)
        selection = Selection(len(flow.tasks), self.curriculum, self.refill, flow.seed)
        history = self._fit(loaded, flow, arguments, plan, out, checkpoint, keep, heldout, selection)
        steps = [row for row in history if "success" in row]
        updates = self.minibatches * self.num_iterations
        measured = {round(row["step"] / updates): row["heldout_success"] for row in history if "heldout_success" in row}
        played = self.tasks_per_step * self.group_size * len(steps)
        return Curves(steps, played, time.monotonic() - began, notes, frozenset(selection.known), measured)

    def check(self, flow: Flow, report_to: Sequence[str] = ()) -> None:
        """Everything that can be known to be wrong before a model is loaded.

        Raises:
            UserError: see `train`.
        """
        check_tasks(flow.tasks, self.tasks_per_step)
        if not isinstance(flow.policy, ModelPolicy):
            raise UserError(f"rl learns from what its own model does: policy=local, not {type(flow.policy).__name__}.")
        if not getattr(flow.policy, "temperature", 1.0) > 0:
            raise UserError("policy.temperature=0 always does the same, so that a group cannot differ: take 1.0.")
        self.check_credit(flow.credit)
        self.check_exploration(flow.policy, flow.credit)
        self.arguments(Path(), 0, report_to)

    def check_exploration(self, policy: Policy, credit: Credit) -> None:
        """
        Raises:
            UserError: a schedule that the policy cannot follow, or a filter where silent groups teach.
        """
        if self.top_p_end is not None and self.top_p_end > 1:
            raise UserError(f"algo.top_p_end={self.top_p_end:g} is no share: take up to 1.0.")
        if self._anneals and not getattr(policy, "anneals", False):
            raise UserError("algo.temperature_end and algo.top_p_end need policy=local, which can change in a run.")
        if self.filter_silent and needs_critic(credit):
            raise UserError("algo.filter_silent is for credit that compares a group; a critic learns from all.")

    @property
    def _anneals(self) -> bool:
        return self.temperature_end is not None or self.top_p_end is not None

    def _annealing(self, policy: Any) -> Annealing | None:
        if not self._anneals:
            return None
        start = Sampling(policy.temperature, policy.top_p)
        end = Sampling(self.temperature_end or start.temperature, self.top_p_end or start.top_p)
        return Annealing(start, end, self.steps, self.anneal)

    def check_credit(self, credit: Credit) -> None:
        """
        Raises:
            UserError: credit reads a critic's values, which nobody gives here.
        """
        if needs_critic(credit):
            raise UserError("This credit= needs a critic's values: take algo=ppo, which trains one.")

    def arguments(self, out: Path, seed: int, report_to: Sequence[str], temperature: float = 1.0) -> GRPOConfig:
        """TRL's form of these hyper-parameters.

        Raises:
            UserError: a step's episodes cannot be cut into equal batches; see `trl_arguments`.
        """
        import torch
        from trl import GRPOConfig

        cuda = torch.cuda.is_available()
        forwards, rest = divmod(self.tasks_per_step * self.group_size, self.batch_size * processes() * self.minibatches)
        if rest or not forwards:
            raise UserError(
                f"algo: {self.tasks_per_step} x {self.group_size} episodes (tasks_per_step x group_size) cannot be cut "
                f"into batches of {self.batch_size} for {processes()} processes x {self.minibatches} minibatches.\n"
                "Choose algo.batch_size so that the product divides the number of episodes."
            )
        updates = self.minibatches * self.num_iterations
        named: dict[str, Any] = {
            "output_dir": str(out / "checkpoints"),
            "seed": seed,
            "max_steps": self.steps * updates,
            "num_generations": self.group_size,
            "per_device_train_batch_size": self.batch_size,
            "gradient_accumulation_steps": forwards,
            "steps_per_generation": forwards * self.minibatches,
            "num_iterations": self.num_iterations,
            "shuffle_dataset": False,  # the plan is shuffled already
            "temperature": temperature,
            "learning_rate": self.learning_rate,
            "lr_scheduler_type": self.schedule,
            "warmup_steps": self.warmup if self.warmup < 1 else self.warmup * updates,
            "weight_decay": self.weight_decay,
            "max_grad_norm": self.max_grad_norm,
            "loss_type": self.loss_type,
            "importance_sampling_level": self.importance_sampling_level,
            "epsilon": self.epsilon,
            # TRL would take epsilon, and weigh every token by 0.2; ScaleRL (arXiv 2510.13786) has 5.
            "epsilon_high": 5.0 if self.loss_type == "cispo" and self.epsilon_high is None else self.epsilon_high,
            "beta": self.beta,
            "entropy_coef": self.entropy_bonus,
            "use_adaptive_entropy": self.entropy_target is not None,
            "entropy_target": self.entropy_target or 0.0,
            "entropy_coef_delta": self.entropy_step,
            "max_completion_length": self.max_completion_length,
            "use_cpu": not cuda,
            "bf16": cuda if self.bf16 is None else self.bf16,
            "gradient_checkpointing": cuda if self.gradient_checkpointing is None else self.gradient_checkpointing,
            "logging_steps": updates,
            "save_strategy": "steps",
            "save_steps": self.save_steps * updates,  # only between steps can a run be resumed exactly
            "save_total_limit": self.save_total_limit,
            "report_to": list(report_to),
            "ddp_find_unused_parameters": False,  # an episode masked whole still takes part, with a gradient of zero
            "disable_tqdm": True,
        }
        return trl_arguments(GRPOConfig, type(self).__name__.lower(), named, self.extra)

    def _fit(
        self,
        loaded: Loaded,
        flow: Flow,
        arguments: GRPOConfig,
        plan: list[list[int]],
        out: Path,
        checkpoint: Path | None,
        keep: Callable[[Trajectory], None] | None,
        heldout: HeldOut | None,
        selection: Selection,
    ) -> list[dict[str, float]]:
        from agenttrain.trainer.callbacks import Seal, Watch

        with Watch("Training", out / "metrics.jsonl", shown=("success", "heldout_success", "reward")) as watch:
            kind, options = self._trainer()
            options |= {"selection": selection, "annealing": self._annealing(flow.policy), "heldout": heldout}
            trainer = kind(flow, loaded, arguments, plan, keep, callbacks=[watch, Seal()], **options)
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            trainer.save(out / "model")
            if heldout is not None:
                trainer.measure(heldout, self.steps)
        return [dict(row) for row in trainer.state.log_history]

    def _trainer(self) -> tuple[type[FlowTrainer], dict[str, Any]]:
        """What trains, and those of our parameters that TRL's arguments do not hold."""
        from agenttrain.trainer.seam import FlowTrainer

        return FlowTrainer, {
            "old_logprobs": self.old_logprobs,
            "importance_cap": self.importance_cap,
            "weighting": self.weighting,
            "kl_in": self.kl_in,
            "filter_silent": self.filter_silent,
            "novelty": self.novelty,
        }


def processes() -> int:
    """How many `torchrun` started; each plays and trains its share of a step's episodes."""
    return int(os.environ.get("WORLD_SIZE", "1"))
