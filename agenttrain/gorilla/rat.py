"""Request, documents -> prompt: retriever-aware training (RAT), retrieval at test time (Gorilla, arXiv 2305.15334)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from agenttrain.bm25 import Index, Passage
from agenttrain.errors import UserError
from agenttrain.gorilla.documents import Document, changed
from agenttrain.gorilla.pairs import Pair
from agenttrain.ranges import Count, Share
from agenttrain.types import Message

SYSTEM = "Answer with the API call alone."
REFERENCE = "\nUse this API documentation for reference: "
FOUND = 100
"""Documents among which a wrong one is looked for: several may tell of the same API."""


@dataclass(frozen=True)
class Prompt:
    """What a request becomes."""

    messages: list[Message]
    wanted: Document
    """The document whose call is right; a changed one where that is shown."""
    shown: Document | None
    """The document in the prompt."""


@dataclass(frozen=True, kw_only=True)
class Rat:
    """Which document goes with a request.

    Args:
        document: `none`; `oracle`, the right one; `bm25`, the best of all by BM25; `mix`, one that is drawn.
        none: share of `mix`, 0 to 1, without a document.
        distractors: share of `mix`, 0 to 1, with a wrong one, the best that BM25 finds. The others have the right one.
        doc_perturb: share of the right documents shown, 0 to 1, whose API has just been renamed: the answer is then
            the new call, which nobody can know by heart.
        max_chars: most characters of a document; what is longer is cut.
    """

    document: Literal["none", "oracle", "bm25", "mix"] = "oracle"
    none: Share = 0.2
    distractors: Share = 0.1
    doc_perturb: Share = 0.0
    max_chars: Count = 2000

    def __post_init__(self) -> None:
        if self.none + self.distractors > 1:
            raise UserError(f"rat.none={self.none} and rat.distractors={self.distractors} are more than all records.")

    def prompt(self, pair: Pair, documents: tuple[Document, ...], seed: int) -> Prompt:
        """The same for equal seeds and pairs."""
        rng = random.Random(f"rat/{seed}/{pair.id}")
        kind, drawn, renamed = self.document, rng.random(), rng.random() < self.doc_perturb
        if kind == "mix":
            kind = "none" if drawn < self.none else "wrong" if drawn < self.none + self.distractors else "oracle"
        wanted, shown = pair.document, None
        if kind == "oracle":
            shown = wanted
        elif kind != "none":
            found = _search(documents, pair.request)
            shown = next((one for one in found if kind == "bm25" or one.call != wanted.call), None)
        if shown and shown.call == wanted.call and renamed:
            wanted = shown = changed(wanted, rng)
        reference = REFERENCE + shown.text(self.max_chars) if shown else ""
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": pair.request + reference}]
        return Prompt(messages, wanted, shown)


def _search(documents: tuple[Document, ...], request: str) -> Sequence[Document]:
    """The best first."""
    return [documents[number] for number in _index(documents).search(request, FOUND)]


@lru_cache(8)
def _index(documents: tuple[Document, ...]) -> Index:
    return Index([Passage("", document.text(10_000)) for document in documents])
