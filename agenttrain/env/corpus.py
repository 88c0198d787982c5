"""Passages -> an index on disk, built once and mapped into memory by every process: what `env=search` looks into.

A folder holds the words and titles as sorted hashes, bm25s's arrays, and the texts; nothing of it is read whole, so
that opening takes milliseconds and the pages are shared by all processes of a machine.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

import numpy as np

from agenttrain.bm25 import Passage, asked, best, indexed

FORMAT = 1
"""Part of a folder's name; to be raised when what it holds changes."""

_log = logging.getLogger(__name__)


class Corpus:
    """A folder that `build` has written; any number of threads may search it at once."""

    def __init__(self, folder: Path) -> None:
        import bm25s

        self._bm25 = bm25s.BM25.load(folder, mmap=True, load_vocab=False, show_progress=False)
        self._words, self._titles, self._places, self._starts = (
            np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("words", "titles", "places", "starts")
        )
        self._texts = np.memmap(folder / "passages.jsonl", np.uint8, "r")

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> Passage:
        return Passage(*json.loads(self._texts[self._starts[number] : self._starts[number + 1]].tobytes()))

    def search(self, query: str, k: int) -> list[int]:
        """Numbers of up to `k` passages that share a word with `query`, the best first, of equals the earlier one."""
        found = (_place(self._words, _hash(word)) for word in asked(query))
        ids = [place for place in found if place is not None]
        return best(self._bm25.get_scores_from_ids(ids), k) if ids else []

    def find(self, title: str) -> int | None:
        """Number of the passage of that title, whatever its capitals; None if there is none."""
        place = _place(self._titles, _hash(title.strip().casefold()))
        return None if place is None else int(self._places[place])


def opened(passages: Iterable[Passage], name: str, cache: Path) -> Corpus:
    """The corpus of that name in the cache, built from `passages` if it is not there.

    Built beside its place and moved there whole: of several processes one wins, and none sees half an index.
    """
    folder = cache / f"{name}-{FORMAT}"
    if not folder.exists():
        began = time.monotonic()
        cache.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(dir=cache, prefix="half-"))
        try:
            build(passages, half)
            os.rename(half, folder)
        except BaseException as error:
            shutil.rmtree(half, ignore_errors=True)
            if not (isinstance(error, OSError) and folder.exists()):
                raise
        _log.warning("built the index %s in %.1f s", folder, time.monotonic() - began)
    return Corpus(folder)


def build(passages: Iterable[Passage], folder: Path) -> None:
    """Write the index; of two passages with one title the first is found by it."""
    import bm25s

    titles: dict[int, int] = {}
    vocabulary: dict[str, int] = {}
    starts, tokens = [0], []
    with (folder / "passages.jsonl").open("wb") as file:
        for number, passage in enumerate(passages):
            titles.setdefault(_hash(passage.title.strip().casefold()), number)
            tokens.append([vocabulary.setdefault(word, len(vocabulary)) for word in indexed(passage)])
            file.write(json.dumps([passage.title, passage.text]).encode() + b"\n")
            starts.append(file.tell())
    hashes = np.array([_hash(word) for word in vocabulary], np.uint64)
    order = np.argsort(hashes)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))  # a word's number is the place of its hash
    numbered = {word: int(rank[number]) for word, number in vocabulary.items()}
    bm25 = bm25s.BM25(backend="numpy")
    bm25.index(([rank[words].tolist() for words in tokens], numbered), create_empty_token=False, show_progress=False)
    bm25.save(folder, show_progress=False)
    np.save(folder / "words.npy", hashes[order])
    np.save(folder / "titles.npy", np.array(sorted(titles), np.uint64))
    np.save(folder / "places.npy", np.array([titles[title] for title in sorted(titles)], np.int64))
    np.save(folder / "starts.npy", np.array(starts, np.int64))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def _place(hashes: np.ndarray, wanted: int) -> int | None:
    place = int(np.searchsorted(hashes, np.uint64(wanted)))
    return place if place < len(hashes) and int(hashes[place]) == wanted else None
