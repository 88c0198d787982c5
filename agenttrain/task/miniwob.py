"""-> Task: pages of MiniWoB++ (arXiv 1802.08802) that are used by clicking, typing and selecting."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Literal

from agenttrain.errors import UserError
from agenttrain.ranges import Count, Whole
from agenttrain.types import Task

SYSTEM = "Use the web page. Elements that can be used have a number."
SEEN = (
    "click-button",
    "click-checkboxes",
    "click-dialog",
    "click-option",
    "click-test",
    "click-test-2",
    "choose-list",
    "enter-date",
    "enter-text",
    "enter-text-2",
    "focus-text",
    "login-user",
)
UNSEEN = ("click-button-sequence", "click-dialog-2", "enter-password", "enter-time", "focus-text-2", "read-table")
CHANGING = (
    "chase-circle",
    "click-pie",
    "drag-items",
    "drag-items-grid",
    "drag-sort-numbers",
    "form-sequence",
    "moving-items",
    "stock-market",
    "use-slider",
    "use-slider-2",
)
"""Pages that are not the same twice for one seed: attempts at one task would not start alike."""
PROBLEMS = 50
"""Seeds of each page."""


class Miniwob:
    """Seeded problems, `PROBLEMS` of each page; it needs `env.browser=chromium` and the package `miniwob`.

    Args:
        split: `train`, `heldout` (other problems of the same pages), `unseen` (other pages) or `all` of them.
        n: number of tasks; None for all there are.
        seed: of the choice among the split's problems and of their order.
        pages: names of MiniWoB++'s pages in place of ours; then there is no `unseen`.
    """

    def __init__(
        self,
        split: Literal["train", "heldout", "unseen", "all"] = "train",
        n: Count | None = None,
        seed: Whole = 0,
        pages: Sequence[str] | None = None,
    ) -> None:
        if split not in ("train", "heldout", "unseen", "all"):
            raise UserError(f"No split {split!r} in task=miniwob. Choose one of: train, heldout, unseen, all.")
        if pages and split == "unseen":
            raise UserError("Pages of your choice have no split 'unseen'. Choose one of: train, heldout, all.")
        if changing := [page for page in pages or () if page in CHANGING]:
            raise UserError(f"task.pages: {', '.join(changing)} differ from attempt to attempt, whatever the seed.")
        self.split, self.n, self.seed, self.pages = split, n, seed, pages

    def __iter__(self) -> Iterator[Task]:
        """
        Raises:
            UserError: the split has fewer than `n` problems.
        """
        pages = self.pages or {"all": SEEN + UNSEEN, "unseen": UNSEEN}.get(self.split, SEEN)
        tasks = [self._task(page, number) for page in pages for number in range(PROBLEMS) if self._ours(number)]
        if self.n is not None and self.n > len(tasks):
            raise UserError(
                f"task=miniwob has {len(tasks)} problems in split {self.split}, not {self.n}. Lower task.n."
            )
        return iter(random.Random(f"miniwob/{self.seed}").sample(tasks, len(tasks) if self.n is None else self.n))

    def _task(self, page: str, number: int) -> Task:
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": ""}]
        return Task(f"miniwob/{page}/{number}", messages, data={"page": page, "seed": number})

    def _ours(self, number: int) -> bool:
        """A fixed fifth is held out."""
        return self.split in ("unseen", "all") or (number % 5 == 4) == (self.split == "heldout")
