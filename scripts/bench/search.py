"""What `env=search` costs: seconds to build and open an index, its size, and queries per second.

python scripts/bench/search.py 10000 100000
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from agenttrain.bm25 import Passage
from agenttrain.env.corpus import Corpus, opened
from agenttrain.worlds.library import Library

QUERIES = 300
REPEATS = 5


def main(sizes: list[int]) -> None:
    print("passages  build s  open ms  MB  title: queries/s  question: queries/s")
    for size in sizes:
        library = Library(0, size)
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            entries = (library.entry(number) for number in range(library.entries))
            opened((Passage(entry.title, entry.text) for entry in entries), "library", Path(folder))
            build, began = time.perf_counter() - began, time.perf_counter()
            corpus = opened([], "library", Path(folder))
            opening = 1e3 * (time.perf_counter() - began)
            megabytes = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) / 1e6
            titles = [library.title(number * 7919 % library.entries) for number in range(QUERIES)]
            asked = [f"What is the birthplace of the author of {title}?" for title in titles]
            rates = "  ".join(per_second(corpus, queries) for queries in (titles, asked))
            print(f"{size:>8}  {build:7.1f}  {opening:7.1f}  {megabytes:.0f}  {rates}", flush=True)


def per_second(corpus: Corpus, queries: list[str]) -> str:
    """Median and range over the repeats."""
    rates = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        for query in queries:
            corpus.search(query, 5)
        rates.append(len(queries) / (time.perf_counter() - began))
    return f"{statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f})"


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [10_000])
