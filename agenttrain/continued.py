"""Recorded turns, then a policy's own: an episode is taken up again in the middle, as often as one likes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agenttrain.types import Action, Conversation, Policy, Trajectory


@dataclass(frozen=True)
class Branch:
    """A trajectory whose first `turns` turns are done again, and the rest anew."""

    trajectory: Trajectory
    turns: int

    def begins(self, played: Trajectory) -> bool:
        """Whether an episode began with these turns, and the environment showed the same on the way."""
        recorded = self.trajectory
        return (
            (played.messages, played.tools) == (recorded.messages, recorded.tools)
            and len(played.turns) >= self.turns
            and all(
                (new.action.message, new.observation.messages) == (old.action.message, old.observation.messages)
                for new, old in zip(played.turns[: self.turns], recorded.turns[: self.turns], strict=True)
            )
        )


class Continued:
    """Plays the recorded turns of a branch, then lets `policy` go on.

    Args:
        branches: by the number of the attempt.
    """

    def __init__(self, policy: Policy, branches: Mapping[int, Branch]) -> None:
        self.policy, self.branches = policy, branches
        self._recorded: list[tuple[Conversation, Action]] = []

    def submit(self, conversation: Conversation) -> None:
        """See `agenttrain.types.Policy`."""
        branch = self.branches[int(conversation.id.rpartition("#")[2])]
        if conversation.turn < branch.turns:
            self._recorded.append((conversation, branch.trajectory.turns[conversation.turn].action))
        else:
            self.policy.submit(conversation)

    def poll(self, timeout: float) -> list[tuple[Conversation, Action | Exception]]:
        """See `agenttrain.types.Policy`."""
        recorded, self._recorded = self._recorded, []
        return [*recorded, *self.policy.poll(0.0 if recorded else timeout)]

    def release(self, conversation: Conversation) -> None:
        """See `agenttrain.types.Policy`."""
        self._recorded = [waiting for waiting in self._recorded if waiting[0] is not conversation]
        self.policy.release(conversation)

    def describe(self) -> dict[str, Any]:
        """The policy that goes on."""
        return self.policy.describe()
