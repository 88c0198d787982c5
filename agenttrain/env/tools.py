"""Environment's side of a tool call: find it in an action, check it against its schema, answer in a tool message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agenttrain.types import Message, Observation, Tool

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}

MOST_CALLS = 16
"""Calls in one action beyond which it is malformed as a whole. (Of fewer, the first is executed.)"""


@dataclass(frozen=True)
class Call:
    """A call that fits its tool's schema."""

    name: str
    arguments: dict[str, Any]
    id: str


@dataclass(frozen=True)
class BadCall:
    """An action without a usable call, and why, in words the policy can learn from."""

    reason: str
    id: str = ""
    name: str = ""


def tool(name: str, description: str, **parameters: dict[str, Any]) -> Tool:
    """An OpenAI-style schema in which every parameter is required and no other is allowed."""
    schema = {
        "type": "object",
        "properties": parameters,
        "required": list(parameters),
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def read_call(action: Message, tools: list[Tool]) -> Call | BadCall:
    """The action's first tool call, checked against the schemas of `tools` (types of top-level arguments, required
    ones, unknown ones, enums)."""
    schemas = {t["function"]["name"]: t["function"].get("parameters", {}) for t in tools}
    calls = action.get("tool_calls") or []
    if not calls:
        return BadCall(f"No tool call found. Call one of: {', '.join(schemas)}.")
    function = calls[0].get("function") or {}
    call_id, name, arguments = calls[0].get("id") or "", function.get("name"), function.get("arguments")
    if len(calls) > MOST_CALLS:
        return BadCall(f"{len(calls)} calls in one turn: none was executed. Make one.", call_id, str(name))
    if not isinstance(name, str) or name not in schemas:
        return BadCall(f"Unknown tool {name!r}. Tools: {', '.join(schemas)}.", call_id, str(name))
    if not isinstance(arguments, dict):
        return BadCall(f"Arguments of {name} must be a JSON object.", call_id, name)
    fault = _fault(arguments, schemas[name])
    return BadCall(f"{name}: {fault}", call_id, name) if fault else Call(name, arguments, call_id)


def answers(action: Message, call: Call | BadCall, content: str) -> list[Message]:
    """`answer`, and a refusal of every further call in `action`: an endpoint takes no conversation in which a call
    is left without its answer."""
    further = (action.get("tool_calls") or [])[1:]
    refused = [BadCall("", extra.get("id") or "", str((extra.get("function") or {}).get("name"))) for extra in further]
    return [answer(call, content), *(answer(extra, "Not executed: one call a turn.") for extra in refused)]


def refused(action: Message, call: BadCall, state: str) -> Observation:
    """What an action without a usable call is answered: nothing was executed, and why."""
    return Observation(answers(action, call, call.reason), state=state, feedback={"invalid_call": call.reason})


def answer(call: Call | BadCall, content: str) -> Message:
    """The message that answers `call`: role `tool`, or `user` where there was no call to answer."""
    if isinstance(call, BadCall) and not call.name:
        return {"role": "user", "content": content}
    message: Message = {"role": "tool", "name": call.name, "content": content}
    if call.id:
        message["tool_call_id"] = call.id
    return message


def _fault(arguments: dict[str, Any], schema: dict[str, Any]) -> str | None:
    properties = schema.get("properties", {})
    for key in schema.get("required", []):
        if key not in arguments:
            return f"missing argument '{key}'."
    for key, value in arguments.items():
        if key not in properties:
            if schema.get("additionalProperties", True) is False:
                return f"unknown argument '{key}'."
            continue
        wanted = properties[key].get("type")
        wanted = [wanted] if isinstance(wanted, str) else (wanted or [])
        # bool is an int in Python and is none in JSON
        fits = any(isinstance(value, _TYPES[w]) and (w == "boolean" or not isinstance(value, bool)) for w in wanted)
        if wanted and not fits:
            return f"argument '{key}' must be of type {' or '.join(wanted)}."
        if "enum" in properties[key] and value not in properties[key]["enum"]:
            return f"argument '{key}' must be one of {properties[key]['enum']}."
    return None
