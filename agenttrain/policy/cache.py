"""Keys and values of many conversations: rows in pages of equal size, within a budget.

A row grows with its conversation, by a third or a half at a time: it moves from a page that is cut into many short rows
to one that is cut into fewer, longer ones. So memory follows the tokens that are held, rows of one page are of similar
length (attention costs as much as its longest), and a page that is free can be cut anew for any length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

PAGE = 4096
"""Tokens in a page, if the context is no longer."""
SHORTEST = 256
"""Tokens in the shortest row, about."""


@dataclass(eq=False)
class Row:
    """A conversation's place."""

    shelf: Shelf
    index: int
    """Among the rows of its shelf."""
    length: int = 0
    """Tokens that stand in it."""

    @property
    def page(self) -> Page:
        return self.shelf.pages[self.index // self.shelf.per_page]

    @property
    def place(self) -> int:
        """Number of the row within its page."""
        return self.index % self.shelf.per_page


class Page:
    """Keys and values of all layers, each `(rows, heads, capacity, dim)`."""

    def __init__(self, tokens: int, layers: Sequence[Layer], device: torch.device) -> None:
        # Zeros, because what no token has been written to yet is read, too, and weighed with 0.
        self.tokens, self.layers = tokens, layers
        self.memory = [
            tuple(
                torch.zeros(tokens * layer.heads, dim, dtype=layer.dtype, device=device)
                for dim in (layer.key_dim, layer.value_dim)
            )
            for layer in layers
        ]

    def cut(self, capacity: int) -> None:
        """Let the page be rows of `capacity` tokens."""
        self.capacity, rows = capacity, self.tokens // capacity
        self.rows = [
            tuple(half[: rows * capacity * layer.heads].view(rows, layer.heads, capacity, -1) for half in both)
            for both, layer in zip(self.memory, self.layers, strict=True)
        ]


@dataclass(frozen=True)
class Layer:
    """What one layer keeps of a token."""

    heads: int
    key_dim: int
    value_dim: int
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        return self.heads * (self.key_dim + self.value_dim) * self.dtype.itemsize


@dataclass(eq=False)
class Shelf:
    """All rows of one capacity, without a hole: row `i` stands in page `i // per_page`."""

    capacity: int
    per_page: int
    rows: list[Row]
    pages: list[Page]


class Cache:
    """Rows for conversations of up to `context` tokens, in at most `budget` bytes.

    Attributes:
        pages: number of pages that the budget allows; less than two cannot serve.
        token_bytes: what one token takes, in all layers.
    """

    def __init__(self, layers: Sequence[Layer], context: int, budget: float, device: torch.device) -> None:
        self.layers, self.device = layers, device
        self.token_bytes = sum(layer.bytes for layer in layers)
        self.page_tokens = max(PAGE, context)
        self.pages = int(budget // (self.token_bytes * self.page_tokens))
        per_page = [1, 2, 3]
        while self.page_tokens // (2 * per_page[-2]) >= SHORTEST:
            per_page.append(2 * per_page[-2])
        self.shelves = [Shelf(self.page_tokens // n, n, [], []) for n in reversed(per_page)]
        self._free: list[Page] = []

    @property
    def allocated(self) -> int:
        """Bytes in use or kept for use."""
        pages = len(self._free) + sum(len(shelf.pages) for shelf in self.shelves)
        return pages * self.page_tokens * self.token_bytes

    def seat(self, length: int) -> Row | None:
        """An empty row with room for `length` tokens; None if there is no memory for it."""
        shelf = next(shelf for shelf in self.shelves if shelf.capacity >= length)
        if len(shelf.rows) == len(shelf.pages) * shelf.per_page:
            page = self._page()
            if page is None:
                return None
            page.cut(shelf.capacity)
            shelf.pages.append(page)
        row = Row(shelf, len(shelf.rows))
        shelf.rows.append(row)
        return row

    def grow(self, row: Row, length: int) -> bool:
        """Give `row` room for `length` tokens; False, and nothing changed, if there is no memory for it."""
        if length <= row.shelf.capacity:
            return True
        larger = self.seat(length)
        if larger is None:
            return False
        self.copy(row, larger, row.length)
        self.drop(row)
        row.shelf, row.index = larger.shelf, larger.index
        row.shelf.rows[row.index] = row
        return True

    def drop(self, row: Row) -> None:
        """Take a row away; the last of its shelf takes its place."""
        shelf = row.shelf
        last = shelf.rows[-1]
        if last is not row:
            self.copy(last, row, last.length)
            shelf.rows[row.index] = last
            last.index = row.index
        shelf.rows.pop()
        if len(shelf.rows) <= (len(shelf.pages) - 1) * shelf.per_page:
            self._free.append(shelf.pages.pop())

    def copy(self, source: Row, target: Row, length: int) -> None:
        """Write the first `length` tokens of `source` to `target`; neither's own length changes."""
        for ours, theirs in zip(target.page.rows, source.page.rows, strict=True):
            for mine, other in zip(ours, theirs, strict=True):
                mine[target.place, :, :length] = other[source.place, :, :length]

    def _page(self) -> Page | None:
        if self._free:
            return self._free.pop()
        if sum(len(shelf.pages) for shelf in self.shelves) >= self.pages:
            return None
        return Page(self.page_tokens, self.layers, self.device)
