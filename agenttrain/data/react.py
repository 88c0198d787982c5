"""ReAct text (Thought, Action, Observation; arXiv 2210.03629) -> messages: what was said apart from what was seen."""

from __future__ import annotations

import re
from typing import Any

from agenttrain.types import Message

_STEP = re.compile(r"\n(?=(?:Thought|Action|Observation)(?: \d+)?:)")
_SEEN = re.compile(r"\AObservation(?: \d+)?: ?")
_CALL = re.compile(r"(?:Thought(?: \d+)?: ?)?(.*?)\n?^Action(?: \d+)?: ?(\w+)\[(.*)\]\s*$", re.DOTALL | re.MULTILINE)


def split(text: str) -> list[Message]:
    """Thoughts with their actions as `assistant`, observations as `user` messages, in order."""
    messages: list[Message] = []
    for step in _STEP.split(text.strip()):
        role = "user" if _SEEN.match(step) else "assistant"
        if role == "assistant" and messages and messages[-1]["role"] == role:
            messages[-1]["content"] += f"\n{step}"
        else:
            messages.append({"role": role, "content": step.strip()})
    return messages


def read_action(text: str) -> tuple[str, str, str] | None:
    """(thought, name, argument) of a step such as `Thought: ...` and `Action: search[...]`; None without an action."""
    match = _CALL.match(text)
    return (match[1].strip(), match[2], match[3]) if match else None


def as_calls(messages: list[Message], parameters: dict[str, str]) -> list[Message]:
    """The same conversation with tool calls in place of action lines, and tool messages in place of observations.

    Args:
        parameters: name of an action -> name of its one parameter. Other actions stay text.
    """
    converted: list[Message] = []
    for message in messages:
        before: Any = converted[-1].get("tool_calls") if converted else None
        if message["role"] == "assistant":
            converted.append(_call(message, parameters, f"call_{len(converted)}"))
        elif before:
            call = before[0]
            seen = _SEEN.sub("", message["content"])
            named = {"role": "tool", "name": call["function"]["name"], "tool_call_id": call["id"]}
            converted.append({**named, "content": seen})
        else:
            converted.append(message)
    return converted


def _call(message: Message, parameters: dict[str, str], call_id: str) -> Message:
    action = read_action(message["content"])
    if action is None or action[1] not in parameters:
        return message
    thought, name, argument = action
    function = {"name": name, "arguments": {parameters[name]: argument}}
    return {**message, "content": thought, "tool_calls": [{"type": "function", "id": call_id, "function": function}]}
