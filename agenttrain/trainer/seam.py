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
from accelerate.utils import gather_object, is_peft_model
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from agenttrain.model.loaded import Loaded, ModelPolicy
from agenttrain.trainer.alarms import Alarms
from agenttrain.trainer.annealing import Annealing
from agenttrain.trainer.batches import Rows, by_length
from agenttrain.trainer.drift import AGREE, OldLogprobs, drift, verdict, weights
from agenttrain.trainer.episodes import Flow, KlIn, check_episodes, figures, light
from agenttrain.trainer.head import score_labelled_only, set_temperature
from agenttrain.trainer.measuring import HeldOut
from agenttrain.trainer.novelty import Novelty
from agenttrain.trainer.playing import Played, play
from agenttrain.trainer.selection import Selection
from agenttrain.trainer.terms import pulls
from agenttrain.trainer.tokens import IGNORED, Tokens, Weighting, label_trajectory, numbers, place, widen
from agenttrain.types import FAILED_BY_US, Advantage, Trajectory

STATE = "flow.json"
"""File of a checkpoint that holds what a run has learned besides weights: bonus, multipliers, success, states met."""

RECOMPUTED = "old_logprobs_recomputed"
"""Name of the figure (1 or 0) that says where a step's old log-probs came from."""


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
        selection: Selection | None = None,
        filter_silent: bool = False,
        novelty: float = 0.0,
        annealing: Annealing | None = None,
        heldout: HeldOut | None = None,
    ) -> None:
        """`plan` has the numbers of each step's tasks; `keep` receives each of this process's episodes, scored and with
        its advantages in `meta`."""
        self.flow, self.chat, self._keep = flow, loaded.chat, keep
        self._old, self._cap = old_logprobs, importance_cap
        self._weighting: Weighting = weighting
        self._inputs: list[dict[str, Any]] = []
        self._played = Played([], [], frozenset(), {})
        self._episodes: list[Trajectory] = []
        self._tokens: list[Tokens] = []
        self._sampled: torch.Tensor | None = None
        """Of the rows in the forward pass that is under way, 1 where a token was sampled."""
        self._learned: Rows | None = None
        """The rows whose loss is under way."""
        self._plan, self._selection = plan, selection or Selection(len(flow.tasks))
        self._filters, self._novelty, self._annealing, self._heldout = filter_silent, novelty, annealing, heldout
        self._states = Novelty()
        self._nothing = False
        """Whether the step that is under way has nothing to learn from."""
        rows = [{"prompt": flow.tasks[n].id, "step": step} for step, ns in enumerate(plan) for n in ns]
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
        self._alarms = Alarms(self.accelerator.is_main_process)
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
        step, first = self._inputs[0]["step"], self.accelerator.process_index * len(self._inputs)
        rows, size = range(first, first + len(self._inputs)), self.args.num_generations or 1
        with self.accelerator.autocast():
            self._played = play(self.flow, self._selection, self._plan[step], rows, size, step, gather_object)
        self._episodes = self._played.episodes
        if self._step == 0:
            check_episodes(self._episodes, self.chat)
        masked = self._played.silent if self._filters else ()
        self._tokens = [
            _trained(trajectory, self.chat.pad_id, row // size in masked)
            for row, trajectory in zip(rows, self._episodes, strict=True)
        ]
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
        self._inputs, step = inputs, inputs[0]["step"]
        if self._annealing is not None:
            self._anneal(self._annealing, step)
        if self._heldout is not None and self._heldout.due(step):
            self._metrics["train"]["heldout_seconds"].append(self.measure(self._heldout, step))
        began = time.perf_counter()
        with self._as_one_update():
            out = super()._generate_and_score_completions(inputs)
        seconds = time.perf_counter() - began
        # A group may be split over processes, so each computes the credit of the whole batch and takes its own rows.
        if "ref_per_token_logps" in out:
            out["ref_per_token_logps"] *= out["tool_mask"]  # as in `_label_sampled`
            if not self.beta:
                self._charge_kl(out.pop("ref_per_token_logps"))
        if self._novelty:
            self._reward_novelty()
        batch = self._gathered(out)
        began = time.perf_counter()
        advantages = self.flow.credit(batch)
        self._metrics["train"]["credit_seconds"].append(time.perf_counter() - began)
        own = advantages[self._own]
        out["advantages"] = self._padded(own).to(out["completion_ids"].device)
        shown = figures(batch, advantages) | pulls(batch, advantages, self.flow.credit) | self.flow.combine.adapt(batch)
        self._report(shown | self._played.shown, int(out["num_items_in_batch"]), seconds)
        self._alarms.episodes(batch, step + 1)
        self._nothing = bool(self._alarms.lost_steps or not out["num_items_in_batch"])
        if self._novelty:
            self._states.count(batch)
        self._hand_on(own, step)
        return out

    def _gathered(self, out: Rows) -> list[Trajectory]:
        """The episodes of all processes, as credit sees them."""
        return gather_object([light(trajectory) for trajectory in self._episodes])

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Where no episode has a token to learn from there is no gradient, so that AdamW's memory moves no weight, and
        to the schedule of the learning rate the step was skipped."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.optimizer._is_overflow = self._nothing  # accelerate's word for it
        if self._nothing:
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
            if self._nothing:
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
            elsewhere = [*metrics["rollout_seconds"], *metrics.get("heldout_seconds", ())]
            metrics["train_seconds"] = [sum(seconds) - sum(elsewhere)]
        for name in [name for name in metrics if name.startswith(("rewards/", "completions/"))]:
            del metrics[name]
        if apart := metrics.pop("sampler_drift_max", None):
            metrics["sampler_drift_max"] = [max(apart)]
            if self._old == "auto" and max(apart) > AGREE:
                self._settle_old(max(apart))
        super().log(logs, start_time)

    def measure(self, heldout: HeldOut, step: int) -> float:
        """Log how well the policy does on tasks that nothing is learned from, after `step` steps; returns the seconds
        that it took."""
        began, process = time.perf_counter(), (self.accelerator.process_index, self.accelerator.num_processes)
        with self.accelerator.autocast():
            shown = heldout.measure(self.flow, step, *process, gather_object)
        super(GRPOTrainer, self).log(shown)  # TRL's would add what the step under way has gathered so far
        return time.perf_counter() - began

    def save(self, folder: Path) -> None:
        """Write the trained weights and the tokenizer in Hugging Face form."""
        if "ref" in getattr(self.model, "peft_config", {}):
            self.model.delete_adapter("ref")  # TRL's copy of the adapter as it was, for beta > 0
        self.save_model(str(folder))
        (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle, and no part of a model

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        super()._save_checkpoint(*args, **kwargs)
        if self.args.should_save:
            folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
            (folder / STATE).write_text(json.dumps(self._learned_beside))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self._learned_beside = json.loads((Path(resume_from_checkpoint) / STATE).read_text())

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
    def _learned_beside(self) -> dict[str, Any]:
        """What a resumed run needs to go on as this one would, besides weights and what transformers keeps."""
        return {
            "entropy_bonus": self._bonus,
            "multipliers": self.flow.combine.multipliers,
            "success": self._selection.known,
            "states": self._states.met,
        }

    @_learned_beside.setter
    def _learned_beside(self, state: dict[str, Any]) -> None:
        if self.use_adaptive_entropy:
            self._bonus = state["entropy_bonus"]
        ours = self.flow.combine.multipliers
        ours |= {name: weight for name, weight in state["multipliers"].items() if name in ours}
        self._selection.known = {int(task): rate for task, rate in state["success"].items()}
        self._states.met.update(state["states"])

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

    def _reward_novelty(self) -> None:
        """What states that were seldom met before this step are worth, as a score `novelty`."""
        for trajectory in self._episodes:
            if trajectory.stop not in FAILED_BY_US:
                trajectory.scores["novelty"] = self._states.bonus(trajectory)
                trajectory.weights["novelty"] = self._novelty

    def _anneal(self, annealing: Annealing, step: int) -> None:
        """The step's temperature and top-p, for who samples and for who trains."""
        policy: Any = self.flow.policy
        now = annealing.at(step)
        policy.temperature, policy.top_p = now.temperature, now.top_p
        for model in filter(None, (self.model, self.ref_model)):
            plain = self.accelerator.unwrap_model(model, keep_torch_compile=False)
            set_temperature(plain.get_base_model() if is_peft_model(plain) else plain, now.temperature)
        self._metrics["train"]["temperature"].append(now.temperature)
        self._metrics["train"]["top_p"].append(now.top_p)

    def _hand_on(self, advantages: Sequence[Sequence[Advantage]], step: int) -> None:
        """This process's episodes, to whoever keeps them; those of groups that gave way have taught nothing."""
        for trajectory, per_turn, tokens in zip(self._episodes, advantages, self._tokens, strict=True):
            learned = any(label != IGNORED for label in tokens.labels)
            means = [fmean(numbers(advantage)) if learned else 0.0 for advantage in per_turn]
            trajectory.meta |= {"method": "rl", "step": step, "advantages": means}
        for trajectory in self._played.replaced:
            nothing = [0.0] * len(trajectory.turns)
            trajectory.meta |= {"method": "rl", "step": step, "advantages": nothing, "replaced": True}
        if self._keep is not None:
            for trajectory in (*self._episodes, *self._played.replaced):
                self._keep(trajectory)

    def _report(self, shown: dict[str, float], sampled: int, seconds: float) -> None:
        shown |= {"rollout_seconds": seconds, "tokens_per_second": sampled / max(seconds, 1e-9)}
        for name, value in shown.items():
            self._metrics["train"][name].append(value)
        self._alarms.signal(shown)
        self._alarms.course(self.state.log_history, self.flow.combine)


def _trained(trajectory: Trajectory, pad_id: int, masked: bool) -> Tokens:
    """The episode's tokens; for one that is `masked`, says nothing about the agent, or has none, two pads without loss
    (TRL takes no empty completion)."""
    tokens = label_trajectory(trajectory)
    if masked or trajectory.stop in FAILED_BY_US or not tokens.ids:
        return Tokens([pad_id] * 2, [IGNORED] * 2, [-1] * 2)
    return tokens


def _logprobs(trajectory: Trajectory, tokens: Tokens) -> list[float]:
    return place((turn.action.logprobs for turn in trajectory.turns), tokens)


def _mask(rows: Rows) -> torch.Tensor:
    """1 where a token was sampled, `(rows, T)`."""
    return rows["completion_mask"] * rows["tool_mask"]


def _is_news(record: logging.LogRecord) -> bool:
    return "All reward functions returned None" not in record.getMessage()
