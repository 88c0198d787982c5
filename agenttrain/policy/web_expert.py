"""Pages -> action: reads the sentence and the lines of `env=web`, or errs as often as told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agenttrain.errors import UserError
from agenttrain.policy.page import Page, PageExpert, Step
from agenttrain.worlds.shop import CODE

_ORDER = re.compile(r"Buy a (\w+) that is (\w+) and (\w+), for at most \$(\d+)\. (.*)\.")
_FORM = re.compile(rf"Fill in the (\w+) form\. (.*?)\.( The {CODE} stands in the help pages\.)?")


@dataclass(frozen=True)
class Wish:
    """What the sentence asks for."""

    subject: str
    fields: dict[str, str]
    """Label -> value, of options and forms."""
    traits: tuple[str, ...] = ()
    price: int = 0
    look_up: bool = False


class WebExpert(PageExpert):
    """Searches for the product and fills in what is asked for, one field a turn."""

    def step(self, told: list[str], page: Page, seen: set[str], turn: int) -> Step:
        """See `PageExpert`."""
        wish = read_sentence(told[0].partition("\n")[0])
        return next(_shopping(wish, page, seen) if wish.price else _filling(wish, page, told))


def _shopping(wish: Wish, page: Page, seen: set[str]) -> Iterator[Step]:
    """What to do next, first."""
    if page.path.startswith("/goods/"):
        if not _fits(wish, page):
            yield "back", {}
        yield from _fields(wish, page)
        yield "click", {"element": page.find("button", "Add to cart")}
    if page.path.startswith("/checkout"):
        yield from _fields(wish, page)
        yield "click", {"element": page.find("button", "Place order")}
    if page.path == "/cart" and page.find("link", "Check out"):
        yield "click", {"element": page.find("link", "Check out")}
    if page.path.startswith("/search"):
        for line in page.lines:
            if line.role == "link" and line.name.endswith(f" {wish.subject}") and line.name not in seen:
                yield "click", {"element": line.number}
        if following := page.find("link", "Next page"):
            yield "click", {"element": following}
    yield from _search(wish, page)


def _search(wish: Wish, page: Page) -> Iterator[Step]:
    box = next(line for line in page.lines if line.name == "Search for")
    if box.value != wish.subject:
        yield "type", {"element": box.number, "text": wish.subject}
    yield "click", {"element": page.find("button", "Search")}


def _filling(wish: Wish, page: Page, told: list[str]) -> Iterator[Step]:
    code = re.search(rf"{CODE}: (\w+)", "\n".join(told[1:]))
    if wish.look_up and not code:
        article = page.find("link", f"Service for a {wish.fields['Product']}")
        yield "click", {"element": article or page.find("link", "Help")}
    if page.path.startswith(f"/forms/{wish.subject}"):
        found = {CODE: code[1]} if code else {}
        yield from _fields(Wish(wish.subject, wish.fields | found), page)
        yield "click", {"element": page.find("button", "Send")}
    yield "click", {"element": page.find("link", wish.subject) or page.find("link", "Forms")}


def _fields(wish: Wish, page: Page) -> Iterator[Step]:
    """One step for each field that is not yet as it should be."""
    group = ""
    for line in page.lines:
        wanted = wish.fields.get(line.name, "")
        if line.role == "group":
            group = line.name
        elif line.role == "textbox" and wanted and line.value != wanted:
            yield "type", {"element": line.number, "text": wanted}
        elif line.role == "combobox" and wanted and line.value != wanted:
            yield "select", {"element": line.number, "option": wanted}
        elif (line.role == "checkbox" and wanted and line.checked != (wanted == "yes")) or (
            line.role == "radio" and wish.fields.get(group) == line.name and not line.checked
        ):
            yield "click", {"element": line.number}


def _fits(wish: Wish, page: Page) -> bool:
    """The product has the traits, the options and the price."""
    told = page.names("text")
    traits = {trait for text in told for trait in text.split(", ")}
    prices = [int(text[1:]) for text in told if re.fullmatch(r"\$\d+", text)]
    offered = {option for line in page.lines for option in line.options} | set(page.names("radio"))
    groups = {line.name for line in page.lines if line.options or line.role == "group"}
    options = [value for label, value in wish.fields.items() if label in groups]
    return {*wish.traits} <= traits and prices[0] <= wish.price and {*options} <= offered


def read_sentence(sentence: str) -> Wish:
    """What a sentence of task=web asks for."""
    if match := _ORDER.fullmatch(sentence):
        subject, *traits, price, fields = match.groups()
        return Wish(subject, _pairs(fields), tuple(traits), int(price))
    if match := _FORM.fullmatch(sentence):
        return Wish(match[1], _pairs(match[2]), look_up=bool(match[3]))
    raise UserError(f"policy=web_expert reads only sentences of task=web, not: {sentence}")


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split(": ", 1) for pair in text.split("; "))
