"""Observation -> Action by a plain function: what the scripted experts share."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from agenttrain.types import Action, Conversation, Message


class Scripted(ABC):
    """A policy whose action is ready as soon as it is asked for."""

    calls: ClassVar[frozenset[str]] = frozenset()
    """Names of tools that every environment of its own offers; `policy=several` knows by them whose turn it is."""

    def __init__(self) -> None:
        self._waiting: list[Conversation] = []

    @abstractmethod
    def act(self, conversation: Conversation) -> Message | Action:
        """The assistant message to answer `conversation.messages` with, as an action where it has tokens.

        It must depend on the conversation alone. Whatever it raises stands in this conversation's place.
        """

    def submit(self, conversation: Conversation) -> None:
        self._waiting.append(conversation)

    def poll(self, timeout: float) -> list[tuple[Conversation, Action | Exception]]:
        """Everything submitted since the last poll."""
        waiting, self._waiting = self._waiting, []
        return [(conversation, self._attempt(conversation)) for conversation in waiting]

    def release(self, conversation: Conversation) -> None:
        self._waiting = [waiting for waiting in self._waiting if waiting is not conversation]

    def describe(self) -> dict[str, Any]:
        """The class's name and its public settings."""
        return {"name": type(self).__name__, **{k: v for k, v in vars(self).items() if not k.startswith("_")}}

    def _attempt(self, conversation: Conversation) -> Action | Exception:
        try:
            answer = self.act(conversation)
        except Exception as error:
            return error
        return answer if isinstance(answer, Action) else Action(answer)


def call(conversation: Conversation, name: str, /, **arguments: Any) -> Message:
    """An assistant message that calls one tool and says nothing."""
    function = {"name": name, "arguments": arguments}
    calls = [{"type": "function", "id": f"call_{conversation.turn}", "function": function}]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def dice(conversation: Conversation) -> random.Random:
    """Chance that depends on the conversation's seed and turn, whatever else is played beside it."""
    return random.Random(f"{conversation.seed}/{conversation.turn}")
