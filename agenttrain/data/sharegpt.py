"""ShareGPT <-> Example, Trajectory: `conversations` of from, value and AgentInstruct's loss (arXiv 2310.12823)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agenttrain.data.chat import read_success, read_tools
from agenttrain.data.select import Selected, find_fault
from agenttrain.errors import UserError
from agenttrain.jsonfile import read_records
from agenttrain.types import Example, Message, Trajectory

_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "tool": "tool",
    "function_response": "tool",
}


@dataclass(kw_only=True)
class Sharegpt(Selected):
    """A `gpt` turn trains unless it says `"loss": false`.

    A `function_call` holds `{"name", "arguments"}` as JSON text; `id`, `success`, `system` and `tools` of a record are
    used where present.
    """

    def read(self, path: str) -> Iterator[Example | str]:
        for number, (place, record) in enumerate(read_records(path, conversations=list), start=1):
            messages: list[Message] = []
            if record.get("system"):
                messages.append({"role": "system", "content": record["system"]})
            for turn in record["conversations"]:
                messages.append(_message(place, turn))
            yield find_fault(messages) or Example(
                id=str(record.get("id", number)),
                messages=messages,
                tools=read_tools(place, record.get("tools")),
                success=read_success(place, record),
                source=place,
            )


def to_sharegpt(trajectory: Trajectory) -> dict[str, Any]:
    """A trajectory as a record that `Sharegpt` reads; a turn with calls keeps only the first, and no text."""
    turns = [_turn(message, loss=False) for message in trajectory.messages]
    for turn in trajectory.turns:
        turns.append(_turn(turn.action.message, loss=True))
        turns += [_turn(message, loss=False) for message in turn.observation.messages]
    return {
        "id": f"{trajectory.task.id}#{trajectory.attempt}",
        "conversations": turns,
        "tools": json.dumps(trajectory.tools),
        "success": trajectory.success,
    }


def _message(place: str, turn: Any) -> Message:
    speaker = turn.get("from") if isinstance(turn, dict) else None
    if speaker not in _ROLES or not isinstance(turn.get("value"), str):
        raise UserError(f'{place}: expected turns of the form {{"from": {"|".join(_ROLES)}, "value": text}}.')
    role, loss = _ROLES[speaker], turn.get("loss")
    if loss not in (None, True, False) or (loss and role != "assistant"):
        raise UserError(f"{place}: expected a turn's loss as true or false, and true on the assistant's turns only.")
    if role != "assistant":
        return {"role": role, "content": turn["value"]}
    said = _call(place, turn["value"]) if speaker == "function_call" else {"content": turn["value"]}
    return {"role": role, **said, "train": loss is None or bool(loss)}


def _call(place: str, text: str) -> Message:
    try:
        call = json.loads(text)
        function = {"name": call["name"], "arguments": call["arguments"]}
        if not isinstance(call["name"], str) or not isinstance(call["arguments"], dict):
            raise TypeError
    except (ValueError, TypeError, KeyError):
        raise UserError(f'{place}: expected a function_call of {{"name": text, "arguments": a JSON object}}.') from None
    return {"content": "", "tool_calls": [{"type": "function", "function": function}]}


def _turn(message: Message, loss: bool) -> dict[str, Any]:
    speakers = {"assistant": "gpt", "user": "human", "tool": "observation", "developer": "system"}
    speaker, value = speakers.get(message["role"], message["role"]), message.get("content") or ""
    if calls := message.get("tool_calls"):
        speaker, value = "function_call", json.dumps(calls[0]["function"])
    return {"from": speaker, "value": value, **({"loss": loss} if message["role"] == "assistant" else {})}
