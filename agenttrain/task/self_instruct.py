"""-> Task: write a request for each document of an API, as self-instruct has it (Gorilla, arXiv 2305.15334)."""

from __future__ import annotations

import random
from collections.abc import Iterator

from agenttrain.errors import UserError
from agenttrain.gorilla.documents import Document, Split, of_split
from agenttrain.gorilla.invented import known
from agenttrain.ranges import Count, Whole
from agenttrain.types import Task

SYSTEM = (
    "Write a request of a user whom this API would help. Say what is wanted and why, never what the API or its model "
    "is called. Answer with the request alone."
)
_EXAMPLES = (
    ("image classification", "I took photos of mushrooms and want to know what is on each of them."),
    ("speech recognition", "Our meetings are recorded. Find me something that writes down what was said."),
    ("translation", "A customer wrote to us in Finnish, and nobody here can read it."),
    ("depth estimation", "My robot has one camera only, and should know how far away things are."),
    ("summarization", "I have no time to read these reports to the end."),
    ("text-to-speech", "The blind readers of our newspaper would like to listen to it."),
)
"""Hand-written; each task shows three of them, as the paper does."""


class SelfInstruct:
    """One task for each document of a split.

    Args:
        split: `train`, `heldout` (a fixed fifth of the APIs, by their calls) or `all`.
        n: number of documents; None for all there are.
        seed: of the choice among the documents, of their order and of the examples.
        documents: a file of APIBench's form, or a folder of them; None for an invented library.
        world: seed of the invented library.
        size: number of APIs in it, up to 352.
        max_chars: most characters of a document; what is longer is cut.
    """

    def __init__(
        self,
        split: Split = "train",
        n: Count | None = None,
        seed: Whole = 0,
        documents: str | None = None,
        world: Whole = 0,
        size: Count = 200,
        max_chars: Count = 2000,
    ) -> None:
        self.split: Split = split
        self.n, self.seed, self.documents = n, seed, documents
        self.world, self.size, self.max_chars = world, size, max_chars

    def __iter__(self) -> Iterator[Task]:
        """
        Raises:
            UserError: the documents are missing or malformed, or the split has fewer than `n`.
        """
        rng = random.Random(f"self_instruct/{self.seed}")
        found = of_split(known(self.documents, self.world, self.size), self.split)
        if self.n is not None and self.n > len(found):
            raise UserError(f"There are {len(found)} documents in split {self.split}, not {self.n}: take a smaller n.")
        return (self._task(one, rng) for one in rng.sample(found, len(found) if self.n is None else self.n))

    def _task(self, document: Document, rng: random.Random) -> Task:
        examples = "\n".join(f"For {what}: {request}" for what, request in rng.sample(_EXAMPLES, 3))
        messages = [
            {"role": "system", "content": f"{SYSTEM}\n{examples}"},
            {"role": "user", "content": document.text(self.max_chars)},
        ]
        return Task(document.id, messages, data={"document": document.record})
