"""Observation -> Action of who was told the answers: task derivation of AgentTuning (arXiv 2310.12823, section 2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from agenttrain.errors import UserError
from agenttrain.policy.scripted import Scripted, call
from agenttrain.types import Conversation, Message, Tasks


class Answers(Scripted):
    """Gives each of the tools the task's annotated answer, one tool a turn, and says nothing.

    For `env=sql` it runs the reference query, so that the database shows its real output, and submits it. An answer
    that fails or is refused stays what it is: the environment says so, and success is its to tell.

    Args:
        tasks: those that are played. A conversation tells nobody its answer; this policy looks it up by the task's id.
        tools: what is called with the answer, in this order; the last one ends the episode.
    """

    def __init__(self, tasks: Tasks | None = None, tools: Sequence[str] = ("sql", "submit")) -> None:
        if not tools:
            raise UserError("policy.tools names no tool. For env=sql: policy.tools=[sql,submit]")
        super().__init__()
        self.tasks, self.tools = tasks, list(tools)

    def act(self, conversation: Conversation) -> Message:
        """
        Raises:
            UserError: the task has no answer in words, or the tools do not take one.
        """
        if conversation.turn >= len(self.tools):
            raise UserError(f"{conversation.id} goes on after {', '.join(self.tools)}: policy.tools lacks its end.")
        name = self.tools[conversation.turn]
        return call(conversation, name, **{_parameter(conversation, name): self._answer(conversation)})

    def describe(self) -> dict[str, Any]:
        return {"name": "Answers", "tools": self.tools}

    def _answer(self, conversation: Conversation) -> str:
        answer = self._known.get(conversation.id.rpartition("#")[0])
        if not isinstance(answer, str):
            raise UserError(f"policy=answers has no answer in words to {conversation.id}; it needs tasks with one.")
        return answer

    @cached_property
    def _known(self) -> dict[str, Any]:
        """Id of a task -> its answer."""
        if self.tasks is None:
            raise UserError("policy=answers acts in commands that play tasks, such as generate-trajectories.")
        return {task.id: task.answer for task in self.tasks}


def _parameter(conversation: Conversation, name: str) -> str:
    """The one parameter of a tool."""
    offered = {tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in conversation.tools}
    if name not in offered:
        raise UserError(f"policy.tools names {name}, but the tools here are: {', '.join(offered)}.")
    parameters = list(offered[name].get("properties", {}))
    if len(parameters) != 1:
        raise UserError(f"policy=answers calls tools of one parameter; {name} has {len(parameters)}.")
    return parameters[0]
