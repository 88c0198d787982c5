"""`river of Ruroton` -> the best passage of a local corpus, by BM25 (arXiv 2302.04761)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import ClassVar

from agenttrain.bm25 import index_of
from agenttrain.ranges import Count
from agenttrain.tool.text_tool import TextTool


@dataclass(frozen=True, kw_only=True)
class Search(TextTool):
    """
    Args:
        path: file of `{"title", "text"}` records, indexed at first use.
        max_chars: most characters of a result; what is longer is cut at a word.

    Raises:
        UserError: when it runs: the file is missing or malformed.
    """

    name: ClassVar[str] = "Search"
    task: ClassVar[str] = (
        "Add calls to a search engine to the text wherever a passage helps to write what comes next. "
        'Write "[Search(terms)]", where the terms are what to look for.'
    )
    examples: ClassVar[tuple[str, ...]] = (
        "The colours on the flag of Ghana mean something: red is for [Search(Ghana flag red meaning)] the blood of "
        "martyrs.",
        "Metformin is a first-line drug for [Search(Metformin use)] patients with type 2 diabetes.",
        "The bridge was built by [Search(builder of the bridge)] two brothers from the valley.",
    )

    path: str = field(kw_only=False)
    max_chars: Count = 200

    def run(self, argument: str, today: date) -> str | None:
        """See `TextTool`."""
        index = index_of(self.path)
        found = index.search(argument, 1)
        if not found:
            return None
        passage = str(index.passages[found[0]])
        return passage if len(passage) <= self.max_chars else passage[: self.max_chars].rpartition(" ")[0]
