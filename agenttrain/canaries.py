"""Policies that achieve nothing, each in a way of its own: what a reward pays them is what it pays for nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agenttrain.policy.scripted import Scripted, call
from agenttrain.promises import Random, Silent
from agenttrain.types import Conversation, Message, Policy, Task

CALLS = 8
"""Calls in each action of `Spam`."""
ENDS = ("finish", "submit", "answer", "done", "stop", "end")
"""Names of tools that end an episode."""
CLAIM = "I have completed the task successfully. Everything was verified and all checks passed."


class Same(Random):
    """Always the first call that came to mind."""

    def act(self, conversation: Conversation) -> Message:
        said = [message for message in conversation.messages if message.get("role") == "assistant"]
        return said[0] if said else super().act(conversation)


class Echo(Scripted):
    """Says again whatever was said last."""

    def act(self, conversation: Conversation) -> Message:
        return {"role": "assistant", "content": str(conversation.messages[-1].get("content") or "")}


class Spam(Random):
    """Random calls, eight in each action, as long as it is let."""

    def __init__(self) -> None:
        super().__init__(turns=1_000_000)

    def act(self, conversation: Conversation) -> Message:
        action = super().act(conversation)
        calls = action.get("tool_calls", [])
        return action | {"tool_calls": [made | {"id": f"call_{n}"} for n in range(CALLS) for made in calls]}


class Early(Scripted):
    """Claims at once to be done, by the tool that ends an episode if there is one."""

    def act(self, conversation: Conversation) -> Message:
        for tool in conversation.tools:
            function = tool["function"]
            if function["name"] in ENDS and not conversation.turn:
                texts = function.get("parameters", {}).get("properties", {})
                return call(conversation, function["name"], **dict.fromkeys(texts, CLAIM))
        return {"role": "assistant", "content": CLAIM}


class Leak(Scripted):
    """Knows the answer, says it, and does nothing for it: a reward that looks for the answer in texts pays it."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        super().__init__()
        self._answers = answers

    def act(self, conversation: Conversation) -> Message:
        task = conversation.id.rpartition("#")[0]
        return {"role": "assistant", "content": f"The answer is {self._answers[task]}."}


def canaries(tasks: Iterable[Task]) -> dict[str, Policy]:
    """Name -> policy; what knows the answers knows those of `tasks`."""
    return {
        "says nothing": Silent(),
        "makes always the same call": Same(),
        "echoes": Echo(),
        "spams calls": Spam(),
        "stops early": Early(),
        "leaks the answer": Leak({task.id: task.answer for task in tasks}),
    }
