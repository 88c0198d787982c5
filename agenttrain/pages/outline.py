"""Accessibility tree -> the lines that a policy reads, one schema for the reader and the browser.

    heading "The contact form"
    [5] textbox "Name" "Ada Arno"
    [6] combobox "Topic" "-" of "-" "delivery" "refund"
    [7] checkbox "Send me a copy" checked
    text "Missing: Topic"

What can be acted on has a number. Roles that only hold others (lists, rows) have no line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

EDITED = {"textbox", "searchbox", "spinbutton"}
"""Roles that take text."""
CHOSEN = {"combobox", "listbox"}
"""Roles that have options."""
LONG = 500
"""Characters of a name, value or text; what is longer is cut."""

_GROUPS = {"group", "radiogroup", "dialog", "alertdialog"}
"""Roles that only hold others, and have a line if they have a name."""
_USED = EDITED | CHOSEN | {"link", "button", "checkbox", "radio", "switch", "slider", "tab", "menuitem", "treeitem"}
_KEY = re.compile(r'(\S+)(?: ("(?:[^"\\]|\\.)*"))?((?: \[[^\]]*\])*)')
_LAYOUT = re.compile(r"active|ref=.*|cursor=.*|level=.*|box=.*")
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # of these every scalar is text


@dataclass(frozen=True)
class Node:
    """One line."""

    role: str
    name: str = ""
    value: str = ""
    """What stands in a textbox, or the option chosen."""
    states: tuple[str, ...] = ()
    """`checked`, `selected`, `disabled`, ..."""
    options: tuple[str, ...] = ()
    handle: Any = None
    """What acts on the element; None for what cannot be acted on."""

    def __str__(self) -> str:
        """Without its number: `button "Send"`."""
        told = [self.role, _quoted(self.name)] if self.name or self.role == "text" else [self.role]
        if self.role in EDITED | CHOSEN:
            told.append(_quoted(self.value))
        if self.options:
            told += ["of", *map(_quoted, self.options)]
        return " ".join([*told, *self.states])


def tidy(nodes: Sequence[Node]) -> list[Node]:
    """Without characters that a terminal obeys, without empty lines, and without a text that a neighbour's name
    repeats, as every label does."""
    clean = [replace(node, name=_plain(node.name), value=_plain(node.value)) for node in nodes]
    kept = [node for node in clean if node.handle is not None or node.name]
    names = ["", *(node.name if node.role != "text" else "" for node in kept), ""]
    return [
        node
        for place, node in enumerate(kept, start=1)
        if node.role != "text" or node.name not in (names[place - 1], names[place + 1])
    ]


def lines(nodes: Sequence[Node]) -> list[str]:
    """Numbers count what can be acted on, from 1."""
    numbers = {id(node): number for number, node in enumerate(usable(nodes), start=1)}
    return [f"[{numbers[id(node)]}] {node}" if id(node) in numbers else str(node) for node in nodes]


def usable(nodes: Sequence[Node]) -> list[Node]:
    """What can be acted on."""
    return [node for node in nodes if node.handle is not None]


def from_snapshot(snapshot: str) -> list[Node]:
    """What Playwright's `aria_snapshot(mode="ai")` holds; the handle of a node is its `ref`."""
    return list(_flat(yaml.load(snapshot, Loader=_LOADER) or []))


def _flat(entries: Sequence[Any]) -> Iterator[Node]:
    for entry in entries:
        key, inner = next(iter(entry.items())) if isinstance(entry, dict) else (entry, "")
        match = _KEY.fullmatch(key)
        if match is None or key.startswith("/"):  # a property, such as a link's /url
            continue
        role, quoted, bracketed = match.groups()
        marks = re.findall(r"\[([^\]]*)\]", bracketed)
        ref = next((mark.removeprefix("ref=") for mark in marks if mark.startswith("ref=")), None)
        name, value = (json.loads(quoted) if quoted else ""), (inner if isinstance(inner, str) else "")
        states = tuple(mark for mark in marks if not _LAYOUT.fullmatch(mark))
        below = [] if isinstance(inner, str) else list(_flat(inner))
        words = " ".join(node.name for node in below if node.name)
        if role in CHOSEN and ref:
            options = [node for node in below if node.role == "option"]
            chosen = ", ".join(node.name for node in options if "selected" in node.states)
            yield Node(role, name, chosen, states, tuple(_plain(node.name) for node in options), ref)
        elif role in _USED and ref:
            yield Node(role, name or words, value, states, handle=ref)
        elif role == "option":
            yield Node(role, name, states=states)
        elif role == "heading" or (ref and "cursor=pointer" in marks):
            yield Node(role, name or value or words, states=states, handle=ref if "cursor=pointer" in marks else None)
            yield from usable(below)
        elif below:
            if role in _GROUPS and name:
                yield Node(role, name)
            yield from below
        else:
            yield Node("text", value or name)


def _plain(text: str) -> str:
    """One line of at most `LONG` printable characters."""
    return "".join(c for c in " ".join(text[: 2 * LONG].split()) if c.isprintable())[:LONG]


def _quoted(text: str) -> str:
    """So that no text of a page can look like a line of its own."""
    return json.dumps(text, ensure_ascii=False)
