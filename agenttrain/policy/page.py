"""Messages -> the page that an expert of `env=web` acts on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from agenttrain.policy.scripted import Scripted, call, dice
from agenttrain.ranges import Share
from agenttrain.types import Conversation, Message

_TEXT = r'"(?:[^"\\]|\\.)*"'
_LINE = re.compile(rf"(?:\[(\d+)\] )?(\w+)(?: ({_TEXT}))?(?: ({_TEXT}))?(?: of((?: {_TEXT})+))?((?: [a-z=]+)*)")


@dataclass(frozen=True)
class Line:
    """An element or a text."""

    number: int
    """0 where it has none."""
    role: str
    name: str
    value: str
    options: tuple[str, ...]
    checked: bool


@dataclass
class Page:
    """One page, as it is now."""

    path: str = ""
    lines: list[Line] = field(default_factory=list)

    def names(self, role: str) -> list[str]:
        """Of every line of this role."""
        return [line.name for line in self.lines if line.role == role]

    def numbers(self, role: str) -> list[int]:
        """Of every element of this role."""
        return [line.number for line in self.lines if line.role == role and line.number]

    def find(self, role: str, name: str) -> int:
        """Number of an element; 0 if there is none."""
        return next((line.number for line in self.lines if (line.role, line.name) == (role, name)), 0)


Step = tuple[str, dict[str, Any]]
"""A tool and its arguments."""


class PageExpert(Scripted):
    """Takes the step that `step` says, or errs as often as told.

    Args:
        error: probability per turn, 0 to 1, of a mistake: a click on a random element.
    """

    calls = frozenset({"click", "type", "select"})

    def __init__(self, error: Share = 0.0) -> None:
        super().__init__()
        self.error = error

    def act(self, conversation: Conversation) -> Message:
        """
        Raises:
            UserError: the sentence is of none of the tasks that it knows.
        """
        told = [str(m["content"]) for m in conversation.messages if m["role"] in ("user", "tool")]
        page, seen = read_pages(told)
        chance = dice(conversation)
        if chance.random() < self.error:
            return call(conversation, "click", element=chance.randint(1, max(line.number for line in page.lines)))
        name, arguments = self.step(told, page, seen, conversation.turn)
        return call(conversation, name, **arguments)

    def step(self, told: list[str], page: Page, seen: set[str], turn: int) -> Step:
        """What to do on `page`, after all that was `told` and the headings `seen`; `turn` counts from 0."""
        raise NotImplementedError


def read_pages(told: Sequence[str]) -> tuple[Page, set[str]]:
    """From what the environment said: the page as it is now, and the headings of all pages so far."""
    page, seen = Page(), set()
    for text in told:
        first, *rest = text[max(0, text.find("Page /")) :].splitlines() or [""]
        if first.startswith("Page /"):
            page = Page(first.removeprefix("Page "), list(_lines(rest)))
            seen |= set(page.names("heading"))
        else:  # the lines that have changed
            changed = {line.number: line for line in _lines([first, *rest]) if line.number}
            page.lines = [changed.get(line.number, line) for line in page.lines]
    return page, seen


def _lines(written: Sequence[str]) -> Iterator[Line]:
    for text in written:
        if match := _LINE.fullmatch(text):
            number, role, name, value, options, states = match.groups()
            read = [json.loads(quoted) if quoted else "" for quoted in (name, value)]
            if role in ("textbox", "combobox") and value is None:  # an element without a name
                read.reverse()
            listed = tuple(json.loads(option) for option in re.findall(_TEXT, options or ""))
            yield Line(int(number or 0), role, read[0], read[1], listed, "checked" in states.split())
