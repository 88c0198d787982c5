"""Task -> Episode: one message with the right function calls, or with none, by BFCL's rules."""

from __future__ import annotations

from typing import Any

from agenttrain.errors import UserError
from agenttrain.gorilla.bfcl import FunctionCall, fault
from agenttrain.types import Message, Observation, Task, Tool

_JSON_TYPES = {"dict": "object", "float": "number", "tuple": "array"}


class Bfcl:
    """Nothing is executed: the calls of the first message are compared with the possible ones."""

    def episode(self, task: Task, seed: int) -> BfclEpisode:
        """
        Raises:
            UserError: the task has no functions.
        """
        if "functions" not in task.data:
            raise UserError(f"Task {task.id} has no functions for env=bfcl. Use task=bfcl.")
        return BfclEpisode(task)


class BfclEpisode:
    """Over after one message. `feedback` holds `success` and, if that is not right, `fault`: why."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._tools = [_tool(function) for function in task.data["functions"]]

    @property
    def tools(self) -> list[Tool]:
        return self._tools

    def start(self) -> list[Message]:
        return self._task.messages

    def step(self, action: Message) -> Observation:
        said = [call.get("function") or {} for call in action.get("tool_calls") or []]
        if all(isinstance(one.get("arguments"), dict) for one in said):
            given = [FunctionCall(str(one.get("name")), one["arguments"]) for one in said]
            why = fault(given, self._task.data["functions"], self._task.answer)
        else:
            why = "arguments are no JSON object"
        facts: dict[str, Any] = {"success": not why, **({"fault": why} if why else {})}
        return Observation([], float(not why), True, self._task.id, facts)

    def close(self) -> None:
        pass


def _tool(function: dict[str, Any]) -> Tool:
    """A function in BFCL's words as an OpenAI-style schema, which knows neither dots in names nor Python's types."""
    name = function["name"].replace(".", "_")
    described = {"name": name, "description": function.get("description", "")}
    return {"type": "function", "function": {**described, "parameters": _schema(function["parameters"])}}


def _schema(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    found = {key: _schema(value) for key, value in schema.items() if key != "properties"}
    if "properties" in schema:  # one of them may be called "type"
        found["properties"] = {name: _schema(value) for name, value in schema["properties"].items()}
    if found.get("type") == "any":
        del found["type"]
    elif isinstance(kind := found.get("type"), str):
        found["type"] = _JSON_TYPES.get(kind, kind)
    return found
