"""Action -> page: what the reader and the browser can both do, and what there is to do; `env/web.py` knows no more."""

from __future__ import annotations

from typing import Any, Protocol

from agenttrain.pages.outline import Node


class Unusable(Exception):
    """An element did not do what was asked of it."""


class Tab(Protocol):
    """One page at a time. Nodes are those of the last call of `nodes`.

    Every method raises `InfraError` if the browser is gone, and those that act raise `Unusable`.
    """

    @property
    def address(self) -> str:
        """Path and query of the page that is shown."""
        ...

    def open(self, address: str) -> None:
        """Go to a path of the site, with its query."""
        ...

    def nodes(self) -> list[Node]:
        """The page as it is now, tidied."""
        ...

    def click(self, node: Node) -> None: ...

    def type(self, node: Node, text: str) -> None:
        """Put `text` in place of what stands in a field."""
        ...

    def select(self, node: Node, option: str) -> None:
        """Choose one of the node's options."""
        ...

    def close(self) -> None: ...


class Place(Protocol):
    """What an episode is about: a site and a goal at it, or a page that judges itself."""

    @property
    def one_page(self) -> bool:
        """There is nowhere to navigate to."""
        ...

    @property
    def pages(self) -> int:
        """Loaded so far."""
        ...

    @property
    def status(self) -> int:
        """HTTP status of the last page."""
        ...

    @property
    def key(self) -> str:
        """What makes this visit differ from another that is shown the same page."""
        ...

    def tab(self) -> Tab:
        """A new tab, at its first page."""
        ...

    def opening(self, tab: Any) -> str:
        """The task in words, where the task itself does not know them."""
        ...

    def verdict(self, tab: Any) -> dict[str, Any]:
        """Empty until the end; then facts, with `success` and `score` (0 to 1) among them."""
        ...
