"""Trajectories, advantages -> TRL's GRPOTrainer. Every private touch of it is in this file and `head.py`.

TRL 1.16 calls `rollout_func` for the episodes of a step and its own reward and advantage code for the rest; its loss
takes one advantage per token "to support subclasses". So our loop plays the episodes, and the advantages TRL computed
are replaced by those of `credit`, before rows are shuffled and split (tests/trainer/test_seam.py holds the contract).
"""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from agenttrain import watch
from agenttrain.errors import UserError
from agenttrain.model.loaded import Loaded, ModelPolicy
from agenttrain.trainer.batches import Rows, by_length
from agenttrain.trainer.diversity import echo_trap
from agenttrain.trainer.drift import AGREE, OldLogprobs, drift, verdict, weights
from agenttrain.trainer.episodes import Flow, KlIn, check_episodes, figures, light
from agenttrain.trainer.head import score_labelled_only
from agenttrain.trainer.terms import pulls
from agenttrain.trainer.tokens import IGNORED, Tokens, Weighting, label_trajectory, numbers, place, widen
from agenttrain.types import FAILED_BY_US, Advantage, Trajectory

NO_SIGNAL = 5
"""Steps in a row in which no episode had an advantage, after which a warning is due."""

GIVE_UP = 3
"""Steps in a row in which no episode could be played, after which a run ends."""

BONUS = "entropy_bonus.json"
"""File of a checkpoint that holds what an adaptive entropy bonus has come to."""

MULTIPLIERS = "multipliers.json"
"""File of a checkpoint that holds the weights of the terms that are held to a budget."""

RECOMPUTED = "old_logprobs_recomputed"
"""Name of the figure (1 or 0) that says where a step's old log-probs came from."""

_log = logging.getLogger(__name__)


class FlowTrainer(GRPOTrainer):
    """GRPO whose episodes, rewards and advantages come from a `Flow`."""

    model: Any
    optimizer: Any
    args: GRPOConfig

    def __init__(
        self,
        flow: Flow,
        loaded: Loaded,
        args: GRPOConfig,
        plan: Sequence[Sequence[int]],
        keep: Callable[[Trajectory], None] | None = None,
        callbacks: list[TrainerCallback] | None = None,
        old_logprobs: OldLogprobs = "auto",
        importance_cap: float | None = 2.0,
        weighting: Weighting = "token",
        kl_in: KlIn = "loss",
    ) -> None:
        """`plan` has the numbers of each step's tasks; `keep` receives each of this process's episodes, scored and with
        its advantages in `meta`."""
        self.flow, self.chat, self._keep = flow, loaded.chat, keep
        self._old, self._cap = old_logprobs, importance_cap
        self._weighting: Weighting = weighting
        self._inputs: list[dict[str, Any]] = []
        self._episodes: list[Trajectory] = []
        self._tokens: list[Tokens] = []
        self._sampled: torch.Tensor | None = None
        """Of the rows in the forward pass that is under way, 1 where a token was sampled."""
        self._learned: Rows | None = None
        """The rows whose loss is under way."""
        self._silent_steps = 0
        self._echoes = False
        """Whether the echo trap has been warned of."""
        self._hacked = False
        """Whether reward hacking has been warned of."""
        self._lost_steps = 0
        """Steps in a row, this one included, in which no episode could be played."""
        rows = [{"prompt": flow.tasks[n].id, "task": n, "step": step} for step, ns in enumerate(plan) for n in ns]
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing")  # TRL asks transformers the old way
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*'rollout_func'")
            super().__init__(
                model=loaded.model,
                reward_funcs=self._returns,
                args=args,
                train_dataset=Dataset.from_list(rows),
                processing_class=loaded.tokenizer,
                rollout_func=self._rollout,
                callbacks=callbacks,
            )
        if kl_in == "reward":
            self.beta = 0.0  # in the loss
        self.remove_callback(PrinterCallback)
        if self.ref_model is not None:
            # TRL reads the reference from the path the model came from, which may hold other weights than it has now.
            self.accelerator.unwrap_model(self.ref_model).load_state_dict(self.model.state_dict())
        logging.getLogger("trl.trainer.grpo_trainer").addFilter(_is_news)
        self.model.register_forward_pre_hook(self._label_sampled, with_kwargs=True)
        score_labelled_only()
        assert isinstance(flow.policy, ModelPolicy), "checked before the model was loaded"
        flow.policy.attach(self.model, loaded.chat, loaded.name)

    # -- what TRL calls -----------------------------------------------------------------------------------------------

    def _rollout(self, prompts: list[str], trainer: GRPOTrainer) -> dict[str, list[Any]]:
        """Play this process's rows; each episode is the prompt it opened with, and everything after as a completion."""
        first = self.accelerator.process_index * len(self._inputs)
        owed = [
            self.flow.owed(row["task"], (first + place) % self.num_generations, row["step"])
            for place, row in enumerate(self._inputs)
        ]
        ended: dict[tuple[str, int], Trajectory] = {}
        with watch.progress(f"Step {self._inputs[0]['step'] + 1}", len(owed)) as bar, self.accelerator.autocast():
            for trajectory in self.flow.play(owed):
                ended[trajectory.task.id, trajectory.attempt] = trajectory
                bar.advance(1)
        self._episodes = [ended[attempt.task.id, attempt.attempt] for attempt in owed]
        if self._step == 0:
            check_episodes(self._episodes, self.chat)
        self._tokens = [_trained(trajectory, self.chat.pad_id) for trajectory in self._episodes]
        return {
            "prompt_ids": [tokens.ids[: tokens.opening] for tokens in self._tokens],
            "completion_ids": [tokens.ids[tokens.opening :] for tokens in self._tokens],
            "env_mask": [[int(turn >= 0) for turn in tokens.turn[tokens.opening :]] for tokens in self._tokens],
            "logprobs": [_logprobs(*pair) for pair in zip(self._episodes, self._tokens, strict=True)],
        }

    def _returns(self, prompts: list[str], **_: Any) -> list[float | None]:
        """TRL's own view of the rewards, for its figures; None keeps an episode out of its baseline, too."""
        return [None if t.stop in FAILED_BY_US else sum(t.turn_rewards) for t in self._episodes]

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Rows:
        self._inputs = inputs
        began = time.perf_counter()
        with self._as_one_update():
            out = super()._generate_and_score_completions(inputs)
        seconds = time.perf_counter() - began
        # A group may be split over processes, so each computes the credit of the whole batch and takes its own rows.
        if "ref_per_token_logps" in out:
            out["ref_per_token_logps"] *= out["tool_mask"]  # as in `_label_sampled`
            if not self.beta:
                self._charge_kl(out.pop("ref_per_token_logps"))
        batch = self._gathered(out)
        began = time.perf_counter()
        advantages = self.flow.credit(batch)
        self._metrics["train"]["credit_seconds"].append(time.perf_counter() - began)
        own = advantages[self._own]
        out["advantages"] = self._padded(own).to(out["completion_ids"].device)
        shown = figures(batch, advantages) | pulls(batch, advantages, self.flow.credit) | self.flow.combine.adapt(batch)
        self._report(shown, int(out["num_items_in_batch"]), seconds)
        self._tell_of_rewards(batch)
        self._count_lost(batch)
        for trajectory, per_turn in zip(self._episodes, own, strict=True):
            means = [fmean(numbers(advantage)) for advantage in per_turn]
            trajectory.meta |= {"method": "rl", "step": inputs[0]["step"], "advantages": means}
            if self._keep is not None:
                self._keep(trajectory)
        return out

    def _gathered(self, out: Rows) -> list[Trajectory]:
        """The episodes of all processes, as credit sees them."""
        return gather_object([light(trajectory) for trajectory in self._episodes])

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Where no episode could be played there is no gradient, so that AdamW's memory moves no weight, and to the
        schedule of the learning rate the step was skipped."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.optimizer._is_overflow = bool(self._lost_steps)  # accelerate's word for it
        if self._lost_steps:
            self.model.zero_grad()
        return loss

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """Micro-batches of similar length, cut to their longest row, with the log-probs to take ratios against."""
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        if self._buffered_inputs is before or not self.model.training:
            return inputs
        # Rows stay within their optimizer step; bnpo's loss is a mean within each micro-batch, so there they stay put.
        window = self.args.gradient_accumulation_steps if self.loss_type != "bnpo" else 1
        self._buffered_inputs = by_length(self._buffered_inputs, window)
        self._take_old(self._buffered_inputs[self.args.gradient_accumulation_steps :])
        return self._buffered_inputs[self._step % len(self._buffered_inputs)]

    def _compute_loss(self, model: Any, inputs: Rows) -> torch.Tensor:
        self._sampled, self._learned = _mask(inputs), dict(inputs)
        bonus = self._bonus
        try:
            loss = super()._compute_loss(model, self._learned)
            if self._lost_steps:
                self._bonus = bonus  # tokens that nobody sampled have no entropy to go by
            inputs["old_per_token_logps"] = self._learned["old_per_token_logps"]  # for `num_iterations`
            return loss
        finally:
            self._sampled = self._learned = None

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        out = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if self._learned is not None:
            self._weigh(self._learned, out[0].detach())
        return out

    def _label_sampled(self, model: Any, args: tuple[Any, ...], kwargs: Rows) -> tuple[tuple[Any, ...], Rows]:
        """Only sampled tokens need logits: most of an episode is what the environment said. The rest has log-prob 0."""
        if self._sampled is not None:
            labels = kwargs["labels"].clone()
            labels[:, -self._sampled.shape[1] :].masked_fill_(self._sampled == 0, IGNORED)
            kwargs = kwargs | {"labels": labels}
        return args, kwargs

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """TRL's figures about texts and its view of the rewards give way to ours."""
        metrics = self._metrics["train"]
        if seconds := metrics.pop("step_time", None):
            metrics["train_seconds"] = [sum(seconds) - sum(metrics["rollout_seconds"])]
        for name in [name for name in metrics if name.startswith(("rewards/", "completions/"))]:
            del metrics[name]
        if apart := metrics.pop("sampler_drift_max", None):
            metrics["sampler_drift_max"] = [max(apart)]
            if self._old == "auto" and max(apart) > AGREE:
                self._settle_old(max(apart))
        super().log(logs, start_time)

    def save(self, folder: Path) -> None:
        """Write the trained weights and the tokenizer in Hugging Face form."""
        if "ref" in getattr(self.model, "peft_config", {}):
            self.model.delete_adapter("ref")  # TRL's copy of the adapter as it was, for beta > 0
        self.save_model(str(folder))
        (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle, and no part of a model

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        super()._save_checkpoint(*args, **kwargs)
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save and self.use_adaptive_entropy:
            (folder / BONUS).write_text(json.dumps(self._bonus))
        if self.args.should_save and self.flow.combine.multipliers:
            (folder / MULTIPLIERS).write_text(json.dumps(self.flow.combine.multipliers))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        file = Path(resume_from_checkpoint) / BONUS
        if self.use_adaptive_entropy and file.is_file():
            self._bonus = json.loads(file.read_text())
        file = Path(resume_from_checkpoint) / MULTIPLIERS
        if file.is_file():
            ours = self.flow.combine.multipliers
            ours |= {name: weight for name, weight in json.loads(file.read_text()).items() if name in ours}

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """None: TRL's says "fine-tuned version of None" of a model that was built here."""

    # -- parts --------------------------------------------------------------------------------------------------------

    @property
    def _passes(self) -> int:
        """Forward and backward passes from one rollout to the next."""
        return (self.args.steps_per_generation or 1) * self.num_iterations

    @property
    def _bonus(self) -> tuple[float, float]:
        """What TRL's control of the entropy bonus goes by: the weight, and the entropy that the last update found."""
        return self.entropy_coef, self._last_world_entropy

    @_bonus.setter
    def _bonus(self, bonus: tuple[float, float]) -> None:
        self.entropy_coef, self._last_world_entropy = bonus

    @property
    def _own(self) -> slice:
        """Which episodes of all processes are this one's."""
        first = self.accelerator.process_index * len(self._episodes)
        return slice(first, first + len(self._episodes))

    @contextmanager
    def _as_one_update(self) -> Iterator[None]:
        """Where a step has several updates TRL scores all rows again, each padded to the longest; see `_take_old`. And
        it asks the reference only where the loss wants it."""
        given, beta = self.args.gradient_accumulation_steps, self.beta
        self.args.gradient_accumulation_steps, self.beta = self._passes, self.args.beta
        try:
            yield
        finally:
            self.args.gradient_accumulation_steps, self.beta = given, beta

    def _take_old(self, batches: list[Rows]) -> None:
        """Give the rows of later updates the log-probs of the policy that sampled; those of the first see it anyway."""
        if not batches:
            return
        if self._old == "auto":
            # A resumed run goes on as the first step found it, or its weights would not be the same.
            found = [row[RECOMPUTED] for row in self.state.log_history if RECOMPUTED in row]
            if found:
                self._old = "recomputed" if found[-1] else "sampled"
            else:
                apart = [drift(self._score(rows), rows["sampling_per_token_logps"], _mask(rows))[1] for rows in batches]
                self._settle_old(max(gather_object(apart)))
        for rows in batches:
            again = self._old == "recomputed"
            rows["old_per_token_logps"] = self._score(rows) if again else rows["sampling_per_token_logps"]
        self._metrics["train"][RECOMPUTED].append(float(self._old == "recomputed"))

    def _settle_old(self, apart: float) -> None:
        self._old, line = verdict(apart, self._cap)
        if self.accelerator.is_main_process:
            print(line, flush=True)

    @torch.no_grad()
    def _score(self, rows: Rows) -> torch.Tensor:
        """The trainer's own log-probs of sampled tokens, 0 elsewhere; `(rows, T)`."""
        ids = torch.cat([rows["prompt_ids"], rows["completion_ids"]], dim=1)
        mask = torch.cat([rows["prompt_mask"], rows["completion_mask"]], dim=1)
        self._sampled = _mask(rows)
        self.model.eval()
        try:
            return self._get_per_token_logps_and_entropies(self.model, ids, mask, rows["completion_ids"].shape[1])[0]
        finally:
            self.model.train()
            self._sampled = None

    def _weigh(self, rows: Rows, logprobs: torch.Tensor) -> None:
        """Advantages are weighted where the sampler was another policy than the trainer's; the loss is linear in them.

        Before a step's first update the same forward pass shows, for nothing, how far the two are apart.
        """
        sampler, old = rows["sampling_per_token_logps"], rows.setdefault("old_per_token_logps", logprobs)
        rows["advantages"] = rows["advantages"] * weights(old, sampler, self._cap)
        if self._step % self._passes < self.args.gradient_accumulation_steps:
            mean, largest = zip(*gather_object([drift(logprobs, sampler, _mask(rows))]), strict=True)
            self._metrics["train"]["sampler_drift"].append(sum(mean) / len(mean))
            self._metrics["train"]["sampler_drift_max"].append(max(largest))

    def _charge_kl(self, reference: torch.Tensor) -> None:
        """What a turn's sampled tokens cost in nats for being likelier than to the reference, as a score `kl`."""
        for trajectory, tokens, row in zip(self._episodes, self._tokens, reference.tolist(), strict=True):
            if trajectory.stop in FAILED_BY_US:
                continue
            trajectory.scores["kl"] = costs = [0.0] * len(trajectory.turns)
            trajectory.weights["kl"] = -self.args.beta
            turns, ours = tokens.turn[tokens.opening :], _logprobs(trajectory, tokens)
            for turn, here, there in zip(turns, ours, row[: len(turns)], strict=True):
                if turn >= 0:
                    costs[turn] += here - there

    def _padded(self, advantages: Sequence[Sequence[Advantage]]) -> torch.Tensor:
        rows = [
            torch.tensor(widen(per_turn, tokens, self._weighting)[tokens.opening :])
            for per_turn, tokens in zip(advantages, self._tokens, strict=True)
        ]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)

    def _report(self, shown: dict[str, float], sampled: int, seconds: float) -> None:
        shown |= {"rollout_seconds": seconds, "tokens_per_second": sampled / max(seconds, 1e-9)}
        for name, value in shown.items():
            self._metrics["train"][name].append(value)
        silent = shown["advantage_std"] < 1e-9 and not shown["lost_step"]
        self._silent_steps = self._silent_steps + 1 if silent else 0
        if self._silent_steps == NO_SIGNAL and self.accelerator.is_main_process:
            _log.warning(
                "No signal: every group scored the same in the last %d steps (success %.2f), so nothing is learned. "
                "Take easier or harder tasks, larger groups, or a reward that tells attempts apart.",
                NO_SIGNAL,
                shown["success"],
            )
        if not self._echoes and (seen := echo_trap(self.state.log_history)) and self.accelerator.is_main_process:
            self._echoes = True
            _log.warning(
                "The policy echoes itself: in the last steps %s. It often collapses next. Go back to an earlier "
                "checkpoint with a lower learning rate, algo.epsilon_high=0.28 or algo.entropy_bonus.",
                seen,
            )

    def _tell_of_rewards(self, batch: Sequence[Trajectory]) -> None:
        """Warn of rewards that failed in this step, and once of rewards that are being gamed."""
        failed = [t.error for t in batch if t.stop == "reward_error"]
        if failed and self.accelerator.is_main_process:
            _log.warning(
                "Step %d: %d of %d episodes could not be scored and are masked (%s).",
                self._inputs[0]["step"] + 1,
                len(failed),
                len(batch),
                failed[0],
            )
        if not self._hacked and (seen := self.flow.combine.hacked(self.state.log_history)):
            self._hacked = True
            if self.accelerator.is_main_process:
                _log.warning(
                    "Reward hacking: %s. Look at such episodes in trajectories.jsonl, mend the reward, "
                    "and go back to an earlier checkpoint.",
                    seen,
                )

    def _count_lost(self, batch: Sequence[Trajectory]) -> None:
        """
        Raises:
            UserError: no episode of `GIVE_UP` steps in a row could be played.
        """
        self._lost_steps = self._lost_steps + 1 if all(t.stop in FAILED_BY_US for t in batch) else 0
        if not self._lost_steps:
            return
        step, error = self._inputs[0]["step"] + 1, batch[0].error
        if self._lost_steps == GIVE_UP:
            raise UserError(
                f"None of the episodes of steps {step - GIVE_UP + 1} to {step} could be played: {error}\n"
                "Mend what failed, then go on from the newest checkpoint with resume=true."
            )
        if self.accelerator.is_main_process:
            _log.warning("Step %d: none of its %d episodes could be played (%s).", step, len(batch), error)
            _log.warning("Nothing is learned from it: no optimizer step, and the learning rate stays.")


def _trained(trajectory: Trajectory, pad_id: int) -> Tokens:
    """The episode's tokens; for one that says nothing about the agent, or has none, two pads without loss (TRL takes no
    empty completion)."""
    tokens = label_trajectory(trajectory)
    if trajectory.stop in FAILED_BY_US or not tokens.ids:
        return Tokens([pad_id] * 2, [IGNORED] * 2, [-1] * 2)
    return tokens


def _logprobs(trajectory: Trajectory, tokens: Tokens) -> list[float]:
    return place((turn.action.logprobs for turn in trajectory.turns), tokens)


def _mask(rows: Rows) -> torch.Tensor:
    """1 where a token was sampled, `(rows, T)`."""
    return rows["completion_mask"] * rows["tool_mask"]


def _is_news(record: logging.LogRecord) -> bool:
    return "All reward functions returned None" not in record.getMessage()
