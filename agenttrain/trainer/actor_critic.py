"""Trajectories, values -> the policy and its critic, trained side by side on the loop and the loss of `seam.py`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from math import nan
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from agenttrain.trainer.batches import Rows
from agenttrain.trainer.critic import Critic, Trunk, explained, value_loss
from agenttrain.trainer.seam import FlowTrainer
from agenttrain.trainer.tokens import place
from agenttrain.types import CriticCredit, Trajectory

PerTurn = list[list[float]]
"""One number for each sampled token of each turn."""


class ActorCritic(FlowTrainer):
    """A `FlowTrainer` whose credit reads the values of a critic that learns with the policy.

    Before credit, one pass without gradient gives every sampled token its value (`Action.values`). What credit says
    they should have been is learned from in the policy's own passes, the weights of both in one optimizer.
    """

    accelerator: Any

    def __init__(
        self,
        *args: Any,
        critic: Trunk,
        critic_learning_rate: float,
        critic_warmup: int,
        value_weight: float,
        value_clip: float | None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.critic = Critic(self.model, critic)
        if self.critic.trunk is not None and self.args.gradient_checkpointing:
            self.critic.trunk.gradient_checkpointing_enable()
        self._critic_rate, self._warmup = critic_learning_rate, critic_warmup
        self._value_weight, self._value_clip = value_weight, value_clip

    # -- values -------------------------------------------------------------------------------------------------------

    def _gathered(self, out: Rows) -> list[Trajectory]:
        self._judge()
        batch = super()._gathered(out)
        assert isinstance(self.flow.credit, CriticCredit), "checked before the model was loaded"
        targets = self.flow.credit.targets(batch)
        judged, wanted = list(_flat(map(_values, batch))), list(_flat(targets))
        known = torch.tensor([judged, wanted])[:, torch.tensor(wanted).isfinite()]
        self._metrics["train"]["explained_variance"].append(explained(*known))
        out["values_in_batch"] = torch.tensor(known.shape[1])
        out["old_values"] = self._placed(map(_values, self._episodes), 0.0)
        out["value_targets"] = self._placed(targets[self._own], nan)
        return batch

    @torch.no_grad()
    def _judge(self) -> None:
        """Give this process's actions the value of the state before each of their tokens."""
        order = sorted(range(len(self._tokens)), key=lambda row: len(self._tokens[row].ids))
        size, device = self.args.per_device_train_batch_size, self.accelerator.device
        self.model.eval()
        self.critic.eval()
        for some in (order[start : start + size] for start in range(0, len(order), size)):
            ids = [torch.tensor(self._tokens[row].ids, device=device) for row in some]
            mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
            with self.accelerator.autocast():
                values = self.critic(pad_sequence(ids, batch_first=True), mask).tolist()
            for row, after in zip(some, values, strict=True):
                turn_of = self._tokens[row].turn
                # A token was sampled in the state that the one before it led to.
                before = [nan, *after[: len(turn_of) - 1]]
                sampled = iter([value for value, turn in zip(before, turn_of, strict=True) if turn >= 0])
                for turn in self._episodes[row].turns:
                    turn.action.values = list(islice(sampled, len(turn.action.token_ids)))
        self.model.train()
        self.critic.train()

    def _placed(self, rows: Iterable[PerTurn], elsewhere: float) -> torch.Tensor:
        """One number for each sampled token of this process's episodes -> `(rows, T)`."""
        each = [torch.tensor(place(*pair, elsewhere)) for pair in zip(rows, self._tokens, strict=True)]
        return pad_sequence(each, batch_first=True, padding_value=elsewhere).to(self.accelerator.device)

    # -- what is learned ----------------------------------------------------------------------------------------------

    def _compute_loss(self, model: Any, inputs: Rows) -> torch.Tensor:
        with self.critic.watched() as seen:
            loss = super()._compute_loss(model, inputs)
        return loss + self._value_weight * self._value_loss(inputs, seen)

    def _value_loss(self, rows: Rows, seen: list[torch.Tensor]) -> torch.Tensor:
        """The mean over the tokens of an optimizer step that have a target, as far as these rows add to it."""
        ids = torch.cat([rows["prompt_ids"], rows["completion_ids"]], dim=1)
        mask = torch.cat([rows["prompt_mask"], rows["completion_mask"]], dim=1)
        with self.accelerator.autocast():
            values = self.critic(ids, mask, seen)[:, -rows["completion_ids"].shape[1] - 1 : -1]
        learned = rows["value_targets"].isfinite()
        each = values[learned], rows["old_values"][learned], rows["value_targets"][learned]
        losses, clipped = value_loss(*each, self._value_clip)
        sums = self.accelerator.reduce(torch.stack([losses.detach().sum(), clipped.sum()]).float())
        # What a pass has on average, over all processes, so that the means of passes are those of their tokens.
        usual = rows["values_in_batch"].clamp(min=1) / (self._passes / self.num_iterations)
        for name, total in zip(("value_loss", "value_clipped"), sums, strict=True):
            self._metrics["train"][name].append((total / usual).item())
        return losses.sum() * self.accelerator.num_processes / (usual * self.current_gradient_accumulation_steps)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        if self._step % self.current_gradient_accumulation_steps == 0:
            self.critic.zero_grad()
        loss = super().training_step(model, inputs, num_items_in_batch)
        if self.accelerator.sync_gradients:
            self._settle_gradients()
        return loss

    def _settle_gradients(self) -> None:
        """The critic's are averaged over processes and clipped apart from the policy's, which learns nothing yet while
        the critic warms up."""
        if self._nothing:
            self.critic.zero_grad()
            return
        weights = self.critic.learned.values()
        for parameter in weights:
            parameter.grad = self.accelerator.reduce(parameter.grad, "mean")
        if self.args.max_grad_norm > 0:  # as the trainer has it
            torch.nn.utils.clip_grad_norm_(weights, self.args.max_grad_norm)
        updates = self._passes // self.args.gradient_accumulation_steps
        if self.state.global_step < self._warmup * updates:
            self.model.zero_grad()

    # -- optimizer and files ------------------------------------------------------------------------------------------

    def create_optimizer(self, model: Any = None) -> Any:
        """The policy's, with the critic as a group of its own learning rate, which the schedule scales alike."""
        fresh, optimizer = self.optimizer is None, super().create_optimizer(model)
        if fresh:
            group = {"params": list(self.critic.learned.values()), "lr": self._critic_rate, "weight_decay": 0.0}
            optimizer.add_param_group(group)
        return optimizer

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        super().save_model(output_dir, _internal_call)
        if self.args.should_save:
            self.critic.save(Path(output_dir or str(self.args.output_dir)))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self.critic.load(Path(resume_from_checkpoint))


def _values(trajectory: Trajectory) -> PerTurn:
    return [turn.action.values for turn in trajectory.turns]


def _flat(rows: Iterable[PerTurn]) -> Iterator[float]:
    """The numbers of all tokens of all turns."""
    return chain.from_iterable(chain.from_iterable(rows))
