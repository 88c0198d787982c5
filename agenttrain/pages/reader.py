"""Action -> page of `env=web` without a browser: a text-mode DOM in process, with links and forms and no scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from html.parser import HTMLParser
from urllib.parse import urlencode

from agenttrain.pages.outline import Node, tidy
from agenttrain.pages.site import Site
from agenttrain.pages.tab import Unusable

_VOID = {"input", "link", "meta", "br"}
_UNREAD = {"head", "style", "script", "select", "textarea"}
"""Tags whose text is no text of the page."""
_ROLES = {"a": "link", "button": "button", "textarea": "textbox", "select": "combobox"}


@dataclass(eq=False)
class Element:
    """Of a page. `attributes` hold what a visitor changes, too: `value`, `checked`, `selected`."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    parent: Element | None = None
    children: list[Element | str] = field(default_factory=list)

    def below(self, *tags: str) -> Iterator[Element]:
        """Every element of these tags inside, in order."""
        for child in self.children:
            if isinstance(child, Element):
                if child.tag in tags:
                    yield child
                yield from child.below(*tags)

    def above(self, tag: str) -> Element | None:
        """The nearest element of this tag around it."""
        return self.parent if self.parent is None or self.parent.tag == tag else self.parent.above(tag)

    @property
    def text(self) -> str:
        """What is written inside, in one line."""
        parts = (c if isinstance(c, str) else "" if c.tag in _UNREAD else c.text for c in self.children)
        return " ".join("".join(parts).split())

    @property
    def value(self) -> str:
        """What a form sends of it."""
        if self.tag == "select":
            return next(o.text for o in self.below("option") if "selected" in o.attributes)
        return self.attributes.get("value", "")


class Reader:
    """A `Tab` of an embedded site. A select box starts with its first option, as in a browser."""

    def __init__(self, site: Site) -> None:
        self.site, self.address, self._page = site, "", Element("html")

    def open(self, address: str) -> None:
        """Pages of the site have no `#` parts and link to nothing else."""
        self.address, self._page = address, parse(self.site.request("GET", address).html)

    def nodes(self) -> list[Node]:
        return tidy(list(_nodes(self._page)))

    def click(self, node: Node) -> None:
        element: Element = node.handle
        if node.role == "link":
            self.open(element.attributes["href"])
        elif node.role == "button":
            self._send(element.above("form"))
        elif node.role == "radio":
            for other in self._page.below("input"):
                if other.attributes.get("name") == element.attributes["name"]:
                    other.attributes.pop("checked", None)
            element.attributes["checked"] = ""
        elif node.role == "checkbox" and element.attributes.pop("checked", None) is None:
            element.attributes["checked"] = ""

    def type(self, node: Node, text: str) -> None:
        element: Element = node.handle
        if element.attributes.get("type") == "date" and text and not _is_date(text):
            element.attributes["value"] = ""
            raise Unusable
        element.attributes["value"] = text if element.tag == "textarea" else re.sub(r"\s", " ", text)

    def select(self, node: Node, option: str) -> None:
        element: Element = node.handle
        for entry in element.below("option"):
            entry.attributes.pop("selected", None)
            if entry.text == option:
                entry.attributes["selected"] = ""

    def close(self) -> None:
        pass

    def _send(self, form: Element | None) -> None:
        """What a browser does at a click on a form's button."""
        if form is None:
            return
        fields = {
            field.attributes["name"]: field.value
            for field in form.below("input", "select", "textarea")
            if field.attributes.get("type") not in ("checkbox", "radio") or "checked" in field.attributes
        }
        if form.attributes.get("method") == "post":
            self.open(self.site.request("POST", form.attributes["action"], fields).location)
        else:
            self.open(f"{form.attributes['action']}?{urlencode(fields)}")


class _Parser(HTMLParser):
    """Well-formed HTML -> elements."""

    def __init__(self) -> None:
        super().__init__()
        self.root = self.open = Element("html")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self.open)
        self.open.children.append(element)
        if tag not in _VOID:
            self.open = element

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.open.attributes["value"] = "".join(map(str, self.open.children))
        if tag == "select" and not any("selected" in option.attributes for option in self.open.below("option")):
            next(self.open.below("option")).attributes["selected"] = ""
        if self.open.parent is not None:
            self.open = self.open.parent

    def handle_data(self, data: str) -> None:
        self.open.children.append(data)


def parse(html: str) -> Element:
    """The root of a well-formed page."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    return parser.root


def _nodes(element: Element) -> Iterator[Node]:
    """What an accessibility tree has of it; texts between two other nodes are one."""
    written: list[str] = []
    for child in element.children:
        if isinstance(child, str):
            written.append(child)
            continue
        yield from _text(written)
        if re.fullmatch("h[1-6]", child.tag):
            yield Node("heading", child.text)
        elif child.tag == "input" or child.tag in _ROLES:
            yield _control(child)
        elif child.tag == "legend":
            yield Node("group", child.text)
        elif child.tag not in _UNREAD:
            yield from _nodes(child)
    yield from _text(written)


def _text(written: list[str]) -> Iterator[Node]:
    if words := " ".join("".join(written).split()):
        yield Node("text", words)
    written.clear()


def _control(element: Element) -> Node:
    label, kind = element.above("label"), element.attributes.get("type", "text")
    role = _ROLES.get(element.tag) or (kind if kind in ("checkbox", "radio") else "textbox")
    named = element if role in ("link", "button") else label
    return Node(
        role,
        element.attributes.get("aria-label") or (named.text if named else ""),
        element.value if role in ("textbox", "combobox") else "",
        ("checked",) if "checked" in element.attributes else (),
        tuple(option.text for option in element.below("option")),
        element,
    )


def _is_date(text: str) -> bool:
    with suppress(ValueError):
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text) and date.fromisoformat(text))
    return False
