"""Tasks -> a checkpoint and a critic: PPO (arXiv 1707.06347), on the loop and the loss of `grpo.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from agenttrain.errors import UserError
from agenttrain.ranges import NonNegative, Positive, Whole
from agenttrain.trainer.episodes import needs_critic
from agenttrain.trainer.grpo import Grpo
from agenttrain.types import Credit

if TYPE_CHECKING:
    from agenttrain.trainer.seam import FlowTrainer


@dataclass(frozen=True)
class Ppo(Grpo):
    """`Grpo` with a critic, for a credit that reads its values; `conf/algo/ppo.yaml` says what each parameter means."""

    critic: Literal["shared", "detached", "own"] = "shared"
    critic_learning_rate: NonNegative = 1e-5
    critic_warmup: Whole = 0
    value_weight: Positive = 0.5
    value_clip: Positive | None = 0.2

    def check_credit(self, credit: Credit) -> None:
        """
        Raises:
            UserError: nobody would ask the critic.
        """
        if not needs_critic(credit):
            raise UserError("algo=ppo trains a critic, and this credit= asks none. Take credit=gae, or algo=grpo.")

    def _trainer(self) -> tuple[type[FlowTrainer], dict[str, Any]]:
        from agenttrain.trainer.actor_critic import ActorCritic

        _, options = super()._trainer()
        own = ("critic", "critic_learning_rate", "critic_warmup", "value_weight", "value_clip")
        return ActorCritic, options | {name: getattr(self, name) for name in own}
