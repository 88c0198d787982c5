"""Passages -> the best for a query, ranked by BM25 (Lucene's variant, by bm25s): what environments and tools search."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from agenttrain.jsonfile import read_records

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Passage:
    """A title and what the corpus says about it."""

    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.title}: {self.text}"


class Index:
    """An index over passages; any number of threads may search it at once. The last 10,000 answers are cached."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        import bm25s

        self.passages = passages
        texts = [indexed(passage) for passage in passages]
        # bm25s numbers words by the order of a set, which changes from process to process; numbers of ours do not.
        self._ids = {word: number for number, word in enumerate(sorted({word for words in texts for word in words}))}
        self._bm25 = bm25s.BM25(backend="numpy")
        tokens = [[self._ids[word] for word in words] for words in texts]
        self._bm25.index((tokens, self._ids), create_empty_token=False, show_progress=False)
        self._cached = lru_cache(10_000)(self._search)

    def search(self, query: str, k: int) -> list[int]:
        """Numbers of up to `k` passages that share a word with `query`, the best first, of equals the earlier one."""
        return list(self._cached(query, k))

    def _search(self, query: str, k: int) -> list[int]:
        ids = [self._ids[word] for word in asked(query) if word in self._ids]
        return best(self._bm25.get_scores_from_ids(ids), k) if ids else []


@cache
def index_of(path: str) -> Index:
    """Of a file of `{"title", "text"}` records, made once per process.

    Raises:
        UserError: the file is missing or malformed.
    """
    return Index([Passage(record["title"], record["text"]) for _, record in read_records(path, title=str, text=str)])


def indexed(passage: Passage) -> list[str]:
    """The words that a passage is found by; its title counts twice, so that a name finds its own passage before those
    that mention it."""
    return re.findall(r"\w+", f"{passage.title} {passage}".lower())


def asked(query: str) -> list[str]:
    """The words of a query, each once: the many "the" of a question must not outweigh the one name in it."""
    return list(dict.fromkeys(re.findall(r"\w+", query.lower())))


def best(scores: NDArray, k: int) -> list[int]:
    """Places of the `k` highest scores above 0, the highest first, of equals the earlier one."""
    import numpy as np

    places = np.flatnonzero(scores > 0)
    found = scores[places]
    if len(found) > k:  # cheaper than sorting them all
        keep = found >= np.partition(found, -k)[-k]
        places, found = places[keep], found[keep]
    return [int(place) for place in places[np.argsort(-found, kind="stable")[:k]]]
