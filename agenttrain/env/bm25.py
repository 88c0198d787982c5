"""Environment's side of a `search` tool: the best passages for a query, ranked by BM25 (Lucene's variant, by bm25s)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agenttrain.world import Passage


class Index:
    """An index over passages; any number of threads may search it at once."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        import bm25s

        self.passages = passages
        # The title counts twice, so that a name finds its own passage before those that mention it.
        texts = [_words(f"{passage.title} {passage}") for passage in passages]
        # bm25s numbers words by the order of a set, which changes from process to process; numbers of ours do not.
        self._ids = {word: number for number, word in enumerate(sorted({word for words in texts for word in words}))}
        self._bm25 = bm25s.BM25(backend="numpy")
        tokens = [[self._ids[word] for word in words] for words in texts]
        self._bm25.index((tokens, self._ids), create_empty_token=False, show_progress=False)

    def search(self, query: str, k: int) -> list[int]:
        """Numbers of up to `k` passages that share a word with `query`, the best first, of equals the earlier one."""
        # Each word once: the many "the" of a question in words must not outweigh the one name in it.
        ids = [self._ids[word] for word in dict.fromkeys(_words(query)) if word in self._ids]
        if not ids:
            return []
        scores = self._bm25.get_scores_from_ids(ids)
        best = (-scores).argsort(kind="stable")[:k]
        return [int(number) for number in best if scores[number] > 0]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
