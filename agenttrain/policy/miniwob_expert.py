"""Page -> action: knows how the sentences of MiniWoB++'s simpler pages are meant, or errs as often as told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime

from agenttrain.errors import UserError
from agenttrain.policy.page import Page, PageExpert, Step


class MiniwobExpert(PageExpert):
    """One step a turn towards what the sentence says."""

    def step(self, told: list[str], page: Page, seen: set[str], turn: int) -> Step:
        """See `PageExpert`."""
        steps = list(_plan(told[0].partition("\nPage /")[0], page))
        return steps[min(turn, len(steps) - 1)]


def _plan(sentence: str, page: Page) -> Iterator[Step]:
    """All steps, in order; the page's numbers stay as they are."""
    for form, steps in _FORMS.items():
        if match := re.fullmatch(form, sentence):
            yield from steps(page, *match.groups())
            return
    raise UserError(f"policy=miniwob_expert does not know this page: {sentence}")


def _buttons(page: Page, *names: str) -> Iterator[Step]:
    for name in names:
        yield "click", {"element": page.find("button", name)}


def _only_button(page: Page) -> Iterator[Step]:
    yield "click", {"element": page.numbers("button")[0]}


def _write(page: Page, *texts: str, button: str = "Submit") -> Iterator[Step]:
    """One text into each field."""
    for number, text in zip(page.numbers("textbox"), texts, strict=False):
        yield "type", {"element": number, "text": text}
    yield from _buttons(page, button)


def _choose(page: Page, names: str) -> Iterator[Step]:
    for line in page.lines:
        if line.role in ("checkbox", "radio") and line.name in names.split(", "):
            yield "click", {"element": line.number}
    yield from _buttons(page, "Submit")


def _select(page: Page, name: str) -> Iterator[Step]:
    yield "select", {"element": page.numbers("combobox")[0], "option": name}
    yield from _buttons(page, "Submit")


def _look_up(page: Page, label: str) -> Iterator[Step]:
    texts = page.names("text")
    yield from _write(page, texts[texts.index(label) + 1])


def _focus(page: Page, place: str = "1") -> Iterator[Step]:
    yield "click", {"element": page.numbers("textbox")[int(place) - 1]}


def _as(written: str, wanted: str) -> Callable[[Page, str], Iterator[Step]]:
    """A date or time, as the browser's fields take it."""
    return lambda page, text: _write(page, datetime.strptime(text, written).strftime(wanted))


_FORMS: dict[str, Callable[..., Iterator[Step]]] = {
    r'Click on the "(.+)" button\.': _buttons,
    r"Click the button\.": _only_button,
    r"Click button (\w+)\.": _buttons,
    r"Click button (\w+), then click button (\w+)\.": _buttons,
    r'Close the dialog box by clicking the "x"\.': lambda page: _buttons(page, "Close"),
    r'Click the button in the dialog box labeled "x"\.': lambda page: _buttons(page, "Close"),
    r'Click the button in the dialog box labeled "(.+)"\.': _buttons,
    r"Select (.+) from the list and click Submit\.": _select,
    r"Select (.+) and click Submit\.": _choose,
    r'Enter "(.+)" into the text field and press Submit\.': _write,
    r'Type "(.+)" in all lower case letters in the text input and press Submit\.': lambda page, word: _write(
        page, word.lower()
    ),
    r'Type "(.+)" in all upper case letters in the text input and press Submit\.': lambda page, word: _write(
        page, word.upper()
    ),
    r'Enter the password "(.+)" into both text fields and press submit\.': lambda page, word: _write(page, word, word),
    r'Enter the username "(.+)" and the password "(.+)" into the text fields and press login\.': lambda page, *words: (
        _write(page, *words, button="Login")
    ),
    r"Enter (.+) as the date and hit submit\.": _as("%m/%d/%Y", "%Y-%m-%d"),
    r"Enter (.+) as the time and press submit\.": _as("%I:%M %p", "%H:%M"),
    r"Enter the value of (.+) into the text field and press Submit\.": _look_up,
    r"Focus into the textbox\.": _focus,
    r"Focus into the (\d)\w\w input textbox\.": _focus,
}
