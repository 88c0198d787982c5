"""Action -> page of `env=web` in Chromium: a tab whose nodes come from Playwright's accessibility snapshot."""

from __future__ import annotations

import importlib.util
import shutil
import threading
import weakref
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agenttrain.errors import UserError
from agenttrain.pages.browser import START, BrowserThread, Running
from agenttrain.pages.outline import Node, from_snapshot, tidy
from agenttrain.pages.site import Site
from agenttrain.pages.tab import Unusable
from agenttrain.types import InfraError

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
"""The first is Chromium without its user interface, which takes less time and memory."""


class Chromium:
    """Starts a browser when the first tab is asked for, and a new one every `restart` tabs; it ends with us.

    Args:
        executable: None for the first of `NAMES` on the path.
        restart: tabs after which a browser gets no more; it ends when its last one is closed.
        wait: seconds for an element to become usable.
        load: seconds for a page to load.
        files: finds the folder with pages that have scripts, or None.
    """

    def __init__(
        self, executable: str | None, restart: int, wait: float, load: float, files: Callable[[], Path | None]
    ) -> None:
        self.executable, self.restart, self.wait, self.load, self.files = executable, restart, wait, load, files
        self._lock = threading.Lock()
        self._thread: BrowserThread | None = None

    def check(self) -> None:
        """
        Raises:
            UserError: Playwright or the browser is not there.
        """
        if importlib.util.find_spec("playwright") is None:
            raise UserError("env.browser=chromium needs Playwright. Run: pip install 'agenttrain[web]'")
        if self._path() is None:
            raise UserError(
                f"There is no {self.executable or 'Chromium'} on this machine. Run: apt install chromium; or give "
                "env.executable=PATH, or env.browser=reader, which needs no browser."
            )

    @property
    def version(self) -> str | None:
        """Of the browser, once one was started."""
        return self._thread.version if self._thread else None

    def tab(self, site: Site) -> ChromiumTab:
        """A tab that sees `site`.

        Raises:
            InfraError: no browser could be started.
        """
        thread = self._started()
        visitor = thread.server.admit(site)
        return ChromiumTab(thread, thread.call(thread.page(visitor), START), visitor, self.load, self.wait)

    def script_tab(self) -> ChromiumTab:
        """A tab for pages of `files`."""
        thread = self._started()
        return ChromiumTab(thread, thread.call(thread.page(None), START), None, self.load, self.wait)

    def close(self) -> None:
        """End the browser with all its tabs."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def _path(self) -> str | None:
        return shutil.which(self.executable) if self.executable else next(filter(None, map(shutil.which, NAMES)), None)

    def _started(self) -> BrowserThread:
        with self._lock:
            if self._thread is None:
                path = self._path()
                assert path is not None, "check() comes first"
                self._thread = BrowserThread(path, self.restart, self.files())
                weakref.finalize(self, self._thread.close)  # also at the end of the interpreter
            return self._thread


class ChromiumTab:
    """A `Tab` in the browser; a node's handle is Playwright's `ref`."""

    def __init__(
        self, thread: BrowserThread, place: tuple[Running, Page], visitor: str | None, load: float, wait: float
    ) -> None:
        self._thread, (self._running, self._page) = thread, place
        self._visitor, self._load, self._wait = visitor, 1000 * load, 1000 * wait
        self._patience = 2 * load  # a browser that takes longer for a call is no fault of the agent
        self._given_back = False

    @property
    def address(self) -> str:
        return self._page.url.removeprefix(self._thread.server.origin)

    def open(self, address: str) -> None:
        self._thread.call(self._page.goto(self._thread.server.origin + address, timeout=self._load), self._patience)

    def nodes(self) -> list[Node]:
        look = self._page.locator("body").aria_snapshot(mode="ai", timeout=self._load)
        return tidy(from_snapshot(self._thread.call(look, self._patience)))

    def click(self, node: Node) -> None:
        self._act(node, lambda element, seconds: self._click(element, seconds, node.role in ("link", "button")))

    def type(self, node: Node, text: str) -> None:
        self._act(node, lambda element, seconds: _fill(element, seconds, text))

    def select(self, node: Node, option: str) -> None:
        self._act(node, lambda element, seconds: element.select_option(label=option, timeout=seconds))

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression on the page."""
        return self._thread.call(self._page.evaluate(script), self._patience)

    def close(self) -> None:
        if self._given_back:
            return
        self._given_back = True
        self._thread.server.sites.pop(self._visitor or "", None)
        self._thread.give_back(self._running, self._page)

    def _act(self, node: Node, action: Callable[[Locator, float], Coroutine[Any, Any, Any]]) -> None:
        """Try `action`, and try longer if it was the machine that took long and not the element that refused."""
        from playwright.async_api import Error, TimeoutError

        element = self._page.locator(f"aria-ref={node.handle}")

        async def acted() -> None:
            # Nothing of the site covers anything: what takes long there is the machine.
            for seconds in (self._load,) if self._visitor else (self._wait, self._load):
                try:
                    await action(element, seconds)
                    return
                except TimeoutError as error:
                    if "performing" in error.message:  # nobody knows how far it came
                        raise
                    if "retrying" in error.message or not await element.count():
                        raise Unusable from None
                    if seconds == self._load:
                        raise
                except Error:
                    if self._page.is_closed():
                        raise
                    raise Unusable from None

        self._thread.call(acted(), self._patience)

    async def _click(self, element: Locator, seconds: float, navigates: bool) -> None:
        """Click; on the site, whose links and buttons all lead to a page, wait for that page."""
        from playwright.async_api import TimeoutError

        if not (self._visitor and navigates):
            await element.click(timeout=seconds)
            return
        clicked = False
        try:
            async with self._page.expect_navigation(timeout=self._load, wait_until="domcontentloaded"):
                await element.click(timeout=seconds, no_wait_after=True)
                clicked = True
        except TimeoutError as error:
            raise InfraError("A page does not load.") if clicked else error from None


async def _fill(element: Locator, seconds: float, text: str) -> None:
    """A field that does not take `text`, as one for dates, is empty then."""
    await element.fill(text, timeout=seconds)
    if text.strip() and not await element.input_value(timeout=seconds):
        raise Unusable
