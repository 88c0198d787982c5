"""-> Task: requests for an API, of a file or of an invented library (Gorilla, arXiv 2305.15334)."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Iterator

from agenttrain.errors import UserError
from agenttrain.gorilla.documents import Split, of_split
from agenttrain.gorilla.invented import known
from agenttrain.gorilla.pairs import Pair, read_pairs
from agenttrain.gorilla.requests import written
from agenttrain.ranges import Count, Whole
from agenttrain.types import Task

_log = logging.getLogger(__name__)


class Gorilla:
    """Requests, each with the document whose call is right.

    Args:
        split: of the APIs asked for: `train`, `heldout` (a fixed fifth, by their calls) or `all`.
        n: number of tasks; None for all there are (in an invented library one for each API).
        seed: of the choice among the tasks, of their order and of their wording.
        pairs: a file of requests in place of the invented library: trajectories of `env=self_instruct`, or APIBench's.
            The documents for it go to `env.documents`.
        world: seed of the invented library.
        size: number of APIs in it, up to 352.
    """

    def __init__(
        self,
        split: Split = "train",
        n: Count | None = None,
        seed: Whole = 0,
        pairs: str | None = None,
        world: Whole = 0,
        size: Count = 200,
    ) -> None:
        self.split: Split = split
        self.n, self.seed, self.pairs, self.world, self.size = n, seed, pairs, world, size

    def __iter__(self) -> Iterator[Task]:
        """
        Raises:
            UserError: the file is missing or of another form, or holds fewer than `n` requests for this split.
        """
        rng = random.Random(f"gorilla/{self.seed}")
        found = self._from_file(self.pairs) if self.pairs else self._from_library(rng)
        if not found or (self.n is not None and self.n > len(found)):
            wanted = "none" if self.n is None else f"not {self.n}"
            raise UserError(f"{len(found)} requests are for APIs of split {self.split}, {wanted}: see task.split.")
        world = {} if self.pairs else {"world": self.world, "size": self.size}
        for pair in rng.sample(found, len(found) if self.n is None else self.n):
            data = {"document": pair.document.record, **world}
            yield Task(pair.id, [{"role": "user", "content": pair.request}], data=data)

    def _from_file(self, path: str) -> list[Pair]:
        found = list(read_pairs(path))
        for reason, count in Counter(pair for pair in found if isinstance(pair, str)).items():
            _log.warning("%s: left out %d records: %s", path, count, reason)
        pairs = [pair for pair in found if isinstance(pair, Pair)]
        return [pair for pair in pairs if self.split == "all" or pair.document.heldout == (self.split == "heldout")]

    def _from_library(self, rng: random.Random) -> list[Pair]:
        documents = of_split(known(None, self.world, self.size), self.split)
        return [Pair(one.id, written(one.record["functionality"], rng), one) for one in documents]
