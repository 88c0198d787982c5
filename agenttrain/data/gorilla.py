"""Requests for APIs -> Example: retriever-aware training, a document beside the request (Gorilla, arXiv 2305.15334)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from agenttrain.data.select import Selected
from agenttrain.gorilla.invented import known
from agenttrain.gorilla.pairs import Pair, read_pairs
from agenttrain.gorilla.rat import Rat
from agenttrain.types import Example


@dataclass(kw_only=True)
class Gorilla(Selected):
    """The answer that trains is the call alone. Requests that self-instruct refused are dropped and counted.

    Args:
        rat: which document goes with a request; its chance comes from `seed`.
        documents: where distractors and retrieved documents come from: a file of APIBench's form, or a folder of them;
            None for the documents of the file's own pairs.
    """

    rat: Rat = field(default_factory=Rat)
    documents: str | None = None

    def read(self, path: str) -> Iterator[Example | str]:
        found = list(read_pairs(path))
        own = {pair.document.call: pair.document for pair in found if isinstance(pair, Pair)}
        documents = known(self.documents, 0, 0) if self.documents else tuple(own.values())
        for number, pair in enumerate(found, start=1):
            if isinstance(pair, str):
                yield pair
                continue
            prompt = self.rat.prompt(pair, documents, self.seed)
            answer = {"role": "assistant", "content": prompt.wanted.call, "train": True}
            yield Example(pair.id, [*prompt.messages, answer], source=f"{path}:{number}")
