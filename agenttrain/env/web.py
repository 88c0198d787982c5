"""Task -> Episode: use a web site by clicking, typing and selecting what its accessibility tree shows (as WebArena's,
arXiv 2307.13854)."""

from __future__ import annotations

import hashlib
import logging
import posixpath
from functools import cache
from importlib import metadata
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from agenttrain.env.tools import BadCall, Call, answers, read_call, refused, tool
from agenttrain.errors import UserError
from agenttrain.pages.chromium import Chromium
from agenttrain.pages.errand import Errand
from agenttrain.pages.miniwob import Miniwob, files
from agenttrain.pages.outline import CHOSEN, EDITED, Node, lines, usable
from agenttrain.pages.reader import Reader
from agenttrain.pages.site import Site
from agenttrain.pages.tab import Place, Tab, Unusable
from agenttrain.ranges import Count, Positive
from agenttrain.types import InfraError, Message, Observation, Task, Tool
from agenttrain.worlds.shop import Goal, shop

_log = logging.getLogger(__name__)

_ELEMENT = {"type": "integer"}
TOOLS = [
    tool("click", "Click an element.", element=_ELEMENT),
    tool("type", "Replace the text of a field.", element=_ELEMENT, text={"type": "string"}),
    tool("select", "Choose an option.", element=_ELEMENT, option={"type": "string"}),
    tool("navigate", "Open a page.", address={"type": "string"}),
    tool("back", "Return to the page before."),
]
LONGEST = 2000
"""Characters of an address or a text that is typed."""


class Web:
    """Pages in a text-mode reader, or in Chromium; what is shown and what counts is the same.

    Args:
        browser: `reader` (in process, no scripts) or `chromium` (headless, one process for all episodes).
        executable: of the browser; None finds Chromium or Chrome on the path.
        restart: episodes after which a new browser takes the place of the old one.
        wait: seconds for an element of the browser's page to become usable.
        load: seconds for a page of the browser to load.
        max_chars: most characters of an observation; what is longer is cut.
    """

    def __init__(
        self,
        browser: Literal["reader", "chromium"] = "reader",
        executable: str | None = None,
        restart: Count = 500,
        wait: Positive = 0.5,
        load: Positive = 10.0,
        max_chars: Count = 4000,
    ) -> None:
        if browser not in ("reader", "chromium"):
            raise UserError(f"No env.browser={browser!r}. Choose reader or chromium.")
        self.browser, self.executable, self.restart = browser, executable, restart
        self.wait, self.load, self.max_chars = wait, load, max_chars
        self._chromium = Chromium(executable, restart, wait, load, files)

    @property
    def versions(self) -> dict[str, str]:
        """Of the browser, once one was started, and of the pages of MiniWoB++ where they are installed."""
        if self._chromium.version is None:
            return {}
        found = {"Chromium": self._chromium.version, "playwright": metadata.version("playwright")}
        return found | ({"miniwob": metadata.version("miniwob")} if files() else {})

    def episode(self, task: Task, seed: int) -> WebEpisode:
        """
        Raises:
            UserError: the task has no pages, or needs a browser that is not there.
        """
        if "page" in task.data:
            if self.browser == "reader":
                raise UserError("Pages of task=miniwob are scripts, which need a browser: env.browser=chromium")
            self._chromium.check()
            return WebEpisode(task, Miniwob(task.data["page"], task.data["seed"], self._chromium), self.max_chars)
        if "goal" not in task.data:
            raise UserError(f"Task {task.id} has no goal for env=web. Use task=web or task=miniwob.")
        if self.browser == "chromium":
            self._chromium.check()
        else:
            _say_that_there_is_no_browser()
        site = Site(shop(task.data["site"], task.data["unseen"]))
        open_tab = Reader if self.browser == "reader" else self._chromium.tab
        return WebEpisode(task, Errand(Goal(**task.data["goal"]), site, open_tab), self.max_chars)


class WebEpisode:
    """One attempt. An observation is the whole page, or, as long as its elements are the same, the lines that changed.

    `feedback` holds `element` (what was acted on), `loaded` (HTTP status, of a step that loaded a page), `changed`
    (whether the page did) or `tool_error`; at the end `success`, `score` (0 to 1) and its parts.
    """

    def __init__(self, task: Task, place: Place, max_chars: int) -> None:
        self.task, self.place, self.max_chars = task, place, max_chars
        self.history: list[str] = []
        """Addresses of the pages so far; the last one is shown."""
        self.nodes: list[Node] = []
        self._tab: Tab | None = None
        self._closed = False

    @property
    def tools(self) -> list[Tool]:
        return TOOLS

    @property
    def state(self) -> str:
        """Task, address, and what the page shows and the site knows."""
        known = "\n".join([*lines(self.nodes), self.place.key])
        return f"{self.task.id} {self.history[-1]} {hashlib.sha256(known.encode()).hexdigest()[:16]}"

    def start(self) -> list[Message]:
        self._tab = self.place.tab()
        if self._closed:  # while it was made
            self.close()
            raise InfraError("given up before it began")
        self._look(self._tab)
        *before, last = self.task.messages
        parts = [last["content"], self.place.opening(self._tab), self._page()]
        return [*before, {**last, "content": "\n".join(filter(None, parts))}]

    def step(self, action: Message) -> Observation:
        state, call = self.state, read_call(action, TOOLS)
        if isinstance(call, BadCall):
            return refused(action, call, state)
        assert self._tab is not None
        try:
            text, facts = self._act(self._tab, call)
        except _Refused as refusal:
            text, facts = str(refusal), {"tool_error": str(refusal)}
        if end := self.place.verdict(self._tab):
            return Observation([], end["score"], True, state, facts | end)
        return Observation(answers(action, call, text), state=state, feedback=facts)

    def close(self) -> None:
        self._closed = True
        if self._tab is not None:
            self._tab.close()

    def _act(self, tab: Tab, call: Call) -> tuple[str, dict[str, Any]]:
        """What is shown, and the facts of this step."""
        pages, shape, before = self.place.pages, self._shape, lines(self.nodes)
        facts: dict[str, Any] = {}
        if call.name == "navigate":
            tab.open(self._address(call.arguments["address"]))
        elif call.name == "back":
            if len(self.history) < 2:
                raise _Refused("There is no page before.")
            del self.history[-1]
            tab.open(self.history[-1])
        else:
            facts |= self._use(tab, **call.arguments, how=call.name)
        self._look(tab)
        now = lines(self.nodes)
        if self.place.pages > pages:
            facts["loaded"] = self.place.status
        facts["changed"] = now != before or shape != self._shape
        if shape != self._shape:
            return self._page(), facts
        changes = [line for line, old in zip(now, before, strict=True) if line != old]
        told = [facts["tool_error"], *changes] if "tool_error" in facts else changes or ["Nothing changed."]
        return "\n".join(told)[: self.max_chars], facts

    def _use(self, tab: Tab, how: str, element: int, text: str = "", option: str = "") -> dict[str, str]:
        """Click, type or select, if the element is one for it; returns facts about the element."""
        there = usable(self.nodes)
        if not 1 <= element <= len(there):
            raise _Refused(f"There is no element {element}.")
        node = there[element - 1]
        if how == "click" and node.role in CHOSEN:
            raise _Refused(f"Element {element} has options: select one.")
        if how == "type" and (node.role not in EDITED or len(text) > LONGEST):
            raise _Refused(f"Element {element} takes no {'such ' * (node.role in EDITED)}text.")
        if how == "select" and option not in node.options:
            raise _Refused(f"Element {element} has no such option.")
        try:
            if how == "click":
                tab.click(node)
            elif how == "type":
                tab.type(node, text)
            else:
                tab.select(node, option)
        except Unusable:
            return {"element": str(node), "tool_error": f"Element {element} does not take that now."}
        return {"element": str(node)}

    def _address(self, given: str) -> str:
        if self.place.one_page:
            raise _Refused("There is no other page.")
        if not given.startswith("/") or given.startswith("//") or len(given) > LONGEST or not given.isprintable():
            raise _Refused("An address starts with one / and is a page of this site.")
        return normal(given)

    def _look(self, tab: Tab) -> None:
        self.nodes, address = tab.nodes(), normal(tab.address)
        if self.history[-1:] != [address]:
            self.history.append(address)

    @property
    def _shape(self) -> list[str]:
        """Address and elements without what they hold."""
        return [self.history[-1], *(f"{node.handle is None} {node.role} {node.name}" for node in self.nodes)]

    def _page(self) -> str:
        return "\n".join([f"Page {self.history[-1]}", *lines(self.nodes)])[: self.max_chars]


class _Refused(Exception):
    """A call that fits its schema and cannot be carried out, and why, in words for the policy."""


def normal(address: str) -> str:
    """Path and query of a page, written in one way."""
    parts = urlsplit(address)
    path = quote("/" + posixpath.normpath(unquote(parts.path)).lstrip("/."))
    query = urlencode(sorted(parse_qsl(parts.query)))
    return f"{path}?{query}" if query else path


@cache
def _say_that_there_is_no_browser() -> None:
    """Once."""
    _log.warning("env=web reads its pages in text mode, without a browser; a real one: env.browser=chromium")
