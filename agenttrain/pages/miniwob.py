"""Page -> verdict: a task of MiniWoB++ (arXiv 1802.08802), whose page makes the problem and judges what is done."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from agenttrain.errors import UserError
from agenttrain.pages.chromium import Chromium, ChromiumTab

_BEGIN = """() => {
    const hidden = document.createElement('style');
    hidden.textContent = '#query, #reward-display, #click-canvas, #sync-task-cover { visibility: hidden }';
    document.head.append(hidden);
    if (window.jQuery) jQuery.fx.off = true;
    core.EPISODE_MAX_TIME = 1e9;
    Math.seedrandom(%s);
    core.startEpisodeReal();
}"""
"""The query is told in words; animations, and the page's own limit of some seconds, would make the time matter."""


def files() -> Path | None:
    """The HTML of the package `miniwob`, which is not imported; None if it is not installed."""
    spec = importlib.util.find_spec("miniwob")
    return Path(spec.submodule_search_locations[0]) / "html" if spec and spec.submodule_search_locations else None


class Miniwob:
    """One seeded problem of one page: a `Place`.

    Raises:
        UserError: the package or the page is not there.
    """

    one_page = True
    pages = 1
    status = 200
    key = ""

    def __init__(self, page: str, seed: int, chromium: Chromium) -> None:
        self.page, self.seed, self.chromium = page, seed, chromium
        folder = files()
        if folder is None:
            raise UserError("task=miniwob needs the pages of MiniWoB++. Run: pip install --no-deps miniwob")
        if not (folder / "miniwob" / f"{page}.html").is_file():
            raise UserError(f"MiniWoB++ has no page {page!r}. Its pages are the files of {folder / 'miniwob'}.")

    def tab(self) -> ChromiumTab:
        tab = self.chromium.script_tab()
        try:
            tab.open(f"/files/miniwob/{self.page}.html")
            tab.run(_BEGIN % json.dumps(str(self.seed)))
        except BaseException:
            tab.close()
            raise
        return tab

    def opening(self, tab: ChromiumTab) -> str:
        """What is to be done."""
        said = tab.run("core.getUtterance()")
        return said if isinstance(said, str) else said["utterance"]

    def verdict(self, tab: ChromiumTab) -> dict[str, Any]:
        """The page's reward, -1 to 1, without its discount for time."""
        done, reward = tab.run("[WOB_DONE_GLOBAL, WOB_RAW_REWARD_GLOBAL]")
        return {"success": reward == 1, "score": float(reward)} if done else {}
