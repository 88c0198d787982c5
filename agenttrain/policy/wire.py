"""Message <-> the form that the chat-completions API has for it."""

from __future__ import annotations

import json
from typing import Any

from agenttrain.types import Action, Message

_FIELDS = ("role", "content", "name", "tool_call_id")


def to_wire(messages: list[Message]) -> list[Message]:
    """Arguments as a string, no field of ours, and only calls that a later message answers: servers refuse others, and
    an environment may execute only the first of several."""
    answered = {message.get("tool_call_id") for message in messages}
    sent = []
    for message in messages:
        plain = {key: message[key] for key in _FIELDS if key in message}
        calls = [call for call in message.get("tool_calls") or [] if call.get("id") in answered]
        if calls:
            plain["tool_calls"] = [{**call, "function": _dumped(call["function"])} for call in calls]
        sent.append(plain)
    return sent


def from_wire(completion: dict[str, Any], turn: int) -> Action:
    """The first choice of a completion as an action. Arguments that are no JSON object leave a message without calls,
    and the raw string in its content.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: this is no chat completion.
    """
    choice, usage = completion["choices"][0], completion.get("usage") or {}
    said, calls = choice["message"], []
    message: Message = {"role": "assistant", "content": said.get("content") or said.get("refusal") or ""}
    if reasoning := said.get("reasoning_content"):
        message["reasoning_content"] = reasoning
    for number, call in enumerate(said.get("tool_calls") or []):
        name, raw = call["function"]["name"], call["function"]["arguments"] or "{}"
        arguments = _object(raw)
        if arguments is None:
            message["content"] = f"{message['content']}\n{name}({raw})".strip()
            calls = []
            break
        function = {"name": name, "arguments": arguments}
        calls.append({"type": "function", "id": call.get("id") or f"call_{turn}_{number}", "function": function})
    if calls:
        message["tool_calls"] = calls
    return Action(
        message,
        finish="length" if choice.get("finish_reason") == "length" else "stop",
        usage={key: int(usage[key]) for key in ("prompt_tokens", "completion_tokens") if key in usage},
    )


def _dumped(function: dict[str, Any]) -> dict[str, Any]:
    return {**function, "arguments": json.dumps(function["arguments"], ensure_ascii=False)}


def _object(raw: str) -> dict[str, Any] | None:
    try:
        value = json.loads(raw)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
