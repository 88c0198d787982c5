"""-> Task: orders and forms at an invented shop's web site."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import Literal

from agenttrain.errors import UserError
from agenttrain.ranges import Count, Whole
from agenttrain.types import Task
from agenttrain.worlds.shop import goals, shop

SYSTEM = "Use the web site. Elements that can be used have a number."


class Web:
    """Goals of one split. Which split a goal belongs to is decided by what it asks, never by a seed.

    Args:
        split: `train`, `heldout` (other goals at the same site), `unseen` (a site with goods, forms and page layouts
            that the other two do not have) or `all` of them.
        n: number of tasks; None for all there are.
        seed: of the choice among the split's goals and of their order.
        site: seed of the shop's products and of the goals.
    """

    def __init__(
        self,
        split: Literal["train", "heldout", "unseen", "all"] = "train",
        n: Count | None = None,
        seed: Whole = 0,
        site: Whole = 0,
    ) -> None:
        if split not in ("train", "heldout", "unseen", "all"):
            raise UserError(f"No split {split!r} in task=web. Choose one of: train, heldout, unseen, all.")
        self.split, self.n, self.seed, self.site = split, n, seed, site

    def __iter__(self) -> Iterator[Task]:
        """
        Raises:
            UserError: the split has fewer than `n` goals.
        """
        unseen = {"all": (False, True), "unseen": (True,)}.get(self.split, (False,))
        tasks = list({task.id: task for which in unseen for task in self._of_shop(which)}.values())
        if self.n is not None and self.n > len(tasks):
            raise UserError(f"task=web has {len(tasks)} goals in split {self.split}, not {self.n}. Lower task.n.")
        return iter(random.Random(f"web/{self.seed}").sample(tasks, len(tasks) if self.n is None else self.n))

    def _of_shop(self, unseen: bool) -> Iterator[Task]:
        for goal in goals(shop(self.site, unseen), self.site):
            mark = zlib.crc32(goal.sentence.encode())
            heldout = mark % 5 == 0  # a fixed fifth
            if unseen or self.split == "all" or heldout == (self.split == "heldout"):
                messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": goal.sentence}]
                data = {"site": self.site, "unseen": unseen, "goal": asdict(goal)}
                yield Task(f"web/{self.site}/{goal.subject}-{mark:08x}", messages, dict(goal.fields), data)
