"""FireAct's published files (arXiv 2310.05915) -> Example: its chat and its alpaca form, told apart by their keys.

The authors train on observations and on the line `Observation: Episode finished, reward = ...`. Here neither trains:
the closing line is read for the outcome and dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from agenttrain.data import react
from agenttrain.data.select import Selected, find_fault
from agenttrain.errors import UserError
from agenttrain.jsonfile import read_records
from agenttrain.types import Example, Message, Tool

_CLOSING = re.compile(r"Observation: Episode finished, reward = (\w+)")
_PARAMETERS = {"search": "query", "finish": "answer"}
_PURPOSES = {"search": "Find a passage.", "finish": "Give the answer."}


@dataclass(kw_only=True)
class Fireact(Selected):
    """Assistant turns without an action (the authors' agent sometimes forgot it) do not train.

    Args:
        calls: `tools` makes tool calls `search(query)` and `finish(answer)` of action lines, as `env=hopqa` and the
            chat templates of today understand them; `text` keeps `Action: search[...]` as it was written.
        system: a system message to put first, such as the one the model will be evaluated with; None for none.
    """

    success: bool | None = True
    calls: Literal["tools", "text"] = "tools"
    system: str | None = None

    def read(self, path: str) -> Iterator[Example | str]:
        for number, (place, record) in enumerate(read_records(path), start=1):
            messages, success = _without_closing(_messages(place, record))
            if fault := find_fault(messages):
                yield fault
                continue
            for message in messages:
                if message["role"] == "assistant":
                    message["train"] = self._trains(message["content"])
            if self.calls == "tools":
                messages = react.as_calls(messages, _PARAMETERS)
            if self.system is not None:
                messages = [{"role": "system", "content": self.system}, *messages]
            yield Example(str(number), messages, self._tools(), success, place)

    def _trains(self, text: str) -> bool:
        reason = "closing line" if _CLOSING.search(text) else "" if react.read_action(text) else "no action"
        if reason:
            self.report.untrained[reason] += 1
        return not reason

    def _tools(self) -> list[Tool]:
        return [_tool(name) for name in _PARAMETERS] if self.calls == "tools" else []


def _messages(place: str, record: Any) -> list[Message]:
    """The conversation of a record, what the agent wrote split into what it said and what it saw."""
    chat = isinstance(record, dict) and isinstance(record.get("messages"), list)
    if chat:
        messages = record["messages"]
    elif isinstance(record, dict) and isinstance(record.get("output"), str):
        question = "\n".join(part for part in (record.get("instruction"), record.get("input")) if part)
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": record["output"]}]
    else:
        raise UserError(f'{place}: expected {{"messages"}} (chat form) or {{"instruction", "output"}} (alpaca form).')
    conversation: list[Message] = []
    for message in messages:
        if not isinstance(message, dict) or not all(isinstance(message.get(key), str) for key in ("role", "content")):
            raise UserError(f'{place}: expected messages of the form {{"role": text, "content": text}}.')
        if message["role"] == "assistant":
            said = react.split(message["content"])
            # Where roles tell who speaks, a closing line of the agent's is a claim: five records hold one.
            conversation += [part for part in said if not (chat and _CLOSING.match(part["content"]))]
        else:
            conversation.append({"role": message["role"], "content": message["content"]})
    return conversation


def _without_closing(messages: list[Message]) -> tuple[list[Message], bool | None]:
    """The messages without closing lines, and the outcome that the last of those tells."""
    closings = [_CLOSING.match(message["content"]) for message in messages]
    rewards = [closing[1] for closing in closings if closing]
    kept = [message for message, closing in zip(messages, closings, strict=True) if not closing]
    return kept, {"True": True, "1": True, "False": False, "0": False}.get(rewards[-1]) if rewards else None


def _tool(name: str) -> Tool:
    schema = {
        "type": "object",
        "properties": {_PARAMETERS[name]: {"type": "string"}},
        "required": [_PARAMETERS[name]],
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "description": _PURPOSES[name], "parameters": schema}}
