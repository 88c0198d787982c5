"""OpenAI messages <-> Example, Trajectory: records `{"messages", "tools"}` as fine-tuning services take them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agenttrain.data.select import Selected, find_fault
from agenttrain.errors import UserError
from agenttrain.jsonfile import read_records
from agenttrain.types import Example, Message, Trajectory

_ROLES = ("system", "developer", "user", "assistant", "tool")


@dataclass(kw_only=True)
class Chat(Selected):
    """An assistant message trains unless it says `"train": false` or `"weight": 0`.

    `id` and `success` (true, false) of a record are used where present; `tools` may be a list or its JSON text.
    """

    def read(self, path: str) -> Iterator[Example | str]:
        for number, (place, record) in enumerate(read_records(path, messages=list), start=1):
            messages = [_message(place, message) for message in record["messages"]]
            yield find_fault(messages) or Example(
                id=str(record.get("id", number)),
                messages=messages,
                tools=read_tools(place, record.get("tools")),
                success=read_success(place, record),
                source=place,
            )


def to_chat(trajectory: Trajectory) -> dict[str, Any]:
    """A trajectory as a record that `Chat` reads; what the agent did in it trains, nothing else."""
    messages = [_untrained(message) for message in trajectory.messages]
    for turn in trajectory.turns:
        messages += [{**turn.action.message, "train": True}, *turn.observation.messages]
    return {
        "id": f"{trajectory.task.id}#{trajectory.attempt}",
        "messages": messages,
        "tools": trajectory.tools,
        "success": trajectory.success,
    }


def read_tools(place: str, tools: Any) -> list[dict[str, Any]]:
    """Tool schemas from a list or its JSON text; a bare function schema is put into OpenAI's envelope.

    Raises:
        UserError: neither of these.
    """
    try:
        tools = json.loads(tools) if isinstance(tools, str) and tools.strip() else tools or []
        bare = [tool.get("function", tool) for tool in tools]
        if not all(isinstance(function["name"], str) for function in bare):
            raise TypeError
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(f'{place}: expected "tools" as a list of {{"type": "function", "function": ...}}.') from None
    return [{"type": "function", "function": function} for function in bare]


def read_success(place: str, record: dict[str, Any]) -> bool | None:
    """The outcome that a record tells, if it does.

    Raises:
        UserError: it is neither true, false nor null.
    """
    if record.get("success") not in (None, True, False):
        raise UserError(f"{place}: expected success as true, false or null.")
    return None if record.get("success") is None else bool(record["success"])


def _message(place: str, message: Any) -> Message:
    if not isinstance(message, dict) or message.get("role") not in _ROLES:
        raise UserError(f'{place}: expected messages of the form {{"role": {"|".join(_ROLES)}, "content": text}}.')
    read = {key: value for key, value in message.items() if key not in ("train", "weight") and value is not None}
    read["content"] = _text(place, message.get("content"))
    flag = message.get("train", message.get("weight"))
    if flag not in (None, True, False):  # 1 and 0 are True and False
        raise UserError(f"{place}: expected a message's train as true or false, or its weight as 1 or 0.")
    if message["role"] != "assistant":
        if flag:
            raise UserError(
                f"{place}: a message of role {message['role']} says that it trains; only assistant ones can."
            )
        return read
    if "tool_calls" in read:
        read["tool_calls"] = [_call(place, call) for call in read["tool_calls"]]
    return {**read, "train": flag is None or bool(flag)}


def _text(place: str, content: Any) -> str:
    """Text, or OpenAI's list of parts if all of them are text."""
    parts = content if isinstance(content, list) else [{"text": content or ""}]
    texts = [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
    if len(texts) < len(parts):
        raise UserError(f"{place}: expected a message's content as text; images and other parts are not supported.")
    return "".join(texts)


def _call(place: str, call: Any) -> dict[str, Any]:
    """A tool call with its arguments as a dict; most writers keep them as JSON text."""
    try:
        function = call["function"]
        arguments = function["arguments"]
        arguments = json.loads(arguments) if isinstance(arguments, str) else arguments
        if not isinstance(arguments, dict) or not isinstance(function["name"], str):
            raise TypeError
    except (ValueError, TypeError, KeyError):
        raise UserError(
            f'{place}: expected tool_calls of {{"function": {{"name": text, "arguments": a JSON object}}}}.'
        ) from None
    return {**call, "type": "function", "function": {"name": function["name"], "arguments": arguments}}


def _untrained(message: Message) -> Message:
    return {**message, "train": False} if message["role"] == "assistant" else message
