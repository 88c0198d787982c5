"""Conversation -> Action of the expert of the environment that it belongs to, where several are played at once."""

from __future__ import annotations

from typing import Any

from agenttrain.errors import UserError
from agenttrain.policy.scripted import Scripted
from agenttrain.types import Action, Conversation, Message


class Several(Scripted):
    """An episode does not say which environment it is of, but offers its tools, and each expert says which it calls
    (`Scripted.calls`). Where the tools of two are offered, as search has those of hopqa, it is the expert of more.

    Args:
        of: name of the environment -> its expert; chosen with the environments, `env=[craft,sql]`.

    Raises:
        UserError: there is none, or one does not say which tools it calls.
    """

    def __init__(self, of: dict[str, Scripted]) -> None:
        super().__init__()
        if not of:
            raise UserError("policy=several holds no expert. Choose environments: env=[craft,sql]")
        for name, expert in of.items():
            if not getattr(expert, "calls", None):
                raise UserError(f"policy=several needs an expert of {name} that says which tools it calls.")
        self.of = of

    def act(self, conversation: Conversation) -> Message | Action:
        """
        Raises:
            UserError: none of the experts calls the tools that are offered.
        """
        offered = {tool["function"]["name"] for tool in conversation.tools}
        able = [expert for expert in self.of.values() if expert.calls <= offered]
        if not able:
            raise UserError(f"No expert of {', '.join(self.of)} calls these tools: {', '.join(sorted(offered))}.")
        return max(able, key=lambda expert: len(expert.calls)).act(conversation)

    def describe(self) -> dict[str, Any]:
        return {"name": "Several", **{name: expert.describe() for name, expert in self.of.items()}}
