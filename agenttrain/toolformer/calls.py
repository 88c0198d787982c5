"""A call as plain text: ` [Calculator(48 + 24) -> 72]` (arXiv 2302.04761, with its own signs)."""

from __future__ import annotations

import re

from agenttrain.tool.text_tool import TextTool

OPENING = " ["
ARROW = " ->"
CLOSING = "]"
_CALL = re.compile(r"(\w+)\((.*)\) *(?:\]|->)", re.DOTALL)


def written(name: str, argument: str, result: str | None = None) -> str:
    """The call as it stands in a text. A result is put on one line, its square brackets made round."""
    if result is None:
        return f"{OPENING}{name}({argument}){CLOSING}"
    said = " ".join(result.split()).replace("[", "(").replace("]", ")")
    return f"{OPENING}{name}({argument}){ARROW} {said}{CLOSING}"


def ended(text: str) -> bool:
    """Whether what follows the opening is complete: closed, or at the arrow that asks for the result."""
    return CLOSING in text or ARROW.strip() in text


def read(text: str) -> tuple[str, str] | None:
    """(name, argument) of what follows an opening; None if it is no call. A result that the model claims is ignored."""
    found = _CALL.match(text)
    return (found[1], found[2].strip()) if found else None


def prompt(tool: TextTool, text: str) -> str:
    """P(x), the few-shot prompt that makes a model write `text` again with calls of `tool` in it."""
    call = re.compile(rf" \[{tool.name}\(.*?\)\]")
    shown = [f"Input:\n{call.sub('', example)}\nOutput:\n{example}" for example in tool.examples]
    return "\n\n".join([tool.task, *shown, f"Input:\n{text}\nOutput:\n"])
