"""The thread that drives Chromium: calls from any thread run on its event loop, and pages are kept for reuse."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import TimeoutError as Late
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agenttrain.pages.loopback import VISITOR, Loopback
from agenttrain.types import InfraError

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page, Playwright, Route

T = TypeVar("T")

FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no name is ever looked up
)
START = 60.0
"""Seconds that a browser may take to start, and a call to be answered, on a busy machine."""
END = 10.0
"""Seconds that it may take to end."""


@dataclass(eq=False)
class Running:
    """A browser and its pages."""

    browser: Browser
    episodes: int = 0
    open: int = 0
    """Pages that episodes hold."""
    free: list[Page] = field(default_factory=list)
    """Pages that wait for an episode, each in a context (cookies, storage) of its own."""


class BrowserThread:
    """Playwright with a browser, and the server it may see. A new browser takes over every `restart` pages."""

    def __init__(self, executable: str, restart: int, files: Path | None) -> None:
        self.executable, self.restart = executable, restart
        self.version: str | None = None
        """Of the newest browser, once there was one."""
        self.server = Loopback(files)
        self.loop = asyncio.new_event_loop()
        self._busy = asyncio.Semaphore(2 * (os.cpu_count() or 1))  # more at once would slow each other down
        self._starting = asyncio.Lock()
        self._playwright: Playwright | None = None
        self._current: Running | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self.loop.run_forever, name="chromium", daemon=True)
        self._thread.start()

    def call(self, what: Coroutine[Any, Any, T], seconds: float) -> T:
        """The result of `what`, once it is its turn.

        Raises:
            InfraError: the browser is gone, or does not answer within so many seconds.
        """
        from playwright.async_api import Error

        if self._closed.is_set():
            what.close()
            raise InfraError("Chromium was closed.")
        future = asyncio.run_coroutine_threadsafe(self._in_turn(what), self.loop)
        try:
            return future.result(seconds)
        except Error as error:
            raise InfraError(f"Chromium: {error.message.splitlines()[0]}") from error
        except Late as error:
            future.cancel()
            raise InfraError(f"Chromium does not answer within {seconds:g} s.") from error

    async def page(self, visitor: str | None) -> tuple[Running, Page]:
        """An empty page with one cookie at most."""
        async with self._starting:
            running = self._current
            if running is None or running.episodes >= self.restart or not running.browser.is_connected():
                running = await self._start()
        running.episodes += 1
        running.open += 1
        try:
            page = running.free.pop() if running.free else await self._new(running.browser)
            if visitor:
                cookie: Any = {"name": VISITOR, "value": visitor, "url": self.server.origin}
                await page.context.add_cookies([cookie])
        except BaseException:
            running.open -= 1
            raise
        return running, page

    def give_back(self, running: Running, page: Page) -> None:
        """Empty the page for the next episode, or end what is used up; waits for it for `END` seconds at most."""
        if not self._closed.is_set():
            emptied = self._in_turn(self._give_back(running, page))
            wait([asyncio.run_coroutine_threadsafe(emptied, self.loop)], END)

    def close(self) -> None:
        """Returns when the browser is gone, or after `END` seconds; the second time at once."""
        if threading.current_thread() is self._thread:  # garbage was collected here, of all places
            threading.Thread(target=self.close).start()
            return
        if self._closed.is_set():
            return
        self._closed.set()
        wait([asyncio.run_coroutine_threadsafe(self._end(), self.loop)], END)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(END)
        self.server.close()

    async def _in_turn(self, what: Coroutine[Any, Any, T]) -> T:
        async with self._busy:
            return await what

    async def _give_back(self, running: Running, page: Page) -> None:
        from playwright.async_api import Error

        try:
            for other in page.context.pages:
                if other is not page:
                    await other.close()
            await page.goto("about:blank")
            await page.context.clear_cookies()
            running.free.append(page)
        except Error:  # a page that does not even become empty is given up, with all it holds
            with suppress(Error):
                await page.context.close()
        running.open -= 1
        if running is not self._current and not running.open:
            with suppress(Error):
                await running.browser.close()

    async def _start(self) -> Running:
        from playwright.async_api import Error, async_playwright

        used, self._playwright = self._current, self._playwright or await async_playwright().start()
        try:
            browser = await self._playwright.chromium.launch(
                executable_path=self.executable,
                args=list(FLAGS),
                chromium_sandbox=os.geteuid() != 0,  # root can have none
                env={key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "LANG") if key in os.environ},
                timeout=1000 * START,
            )
        except Error:
            self._playwright = None  # maybe its own process is gone
            raise
        self._current, self.version = Running(browser), browser.version
        if used is not None and not used.open:
            with suppress(Error):
                await used.browser.close()
        return self._current

    async def _new(self, browser: Browser) -> Page:
        context: BrowserContext = await browser.new_context(service_workers="block", accept_downloads=False)
        await context.route("**/*", self._allow)
        await context.route_web_socket("**/*", lambda socket: socket.close())
        return await context.new_page()

    async def _allow(self, route: Route) -> None:
        """Our own server, and nothing else."""
        from playwright.async_api import Error

        with suppress(Error):  # the page is gone
            await (route.continue_() if route.request.url.startswith(f"{self.server.origin}/") else route.abort())

    async def _end(self) -> None:
        if self._playwright is not None:
            await self._playwright.stop()
