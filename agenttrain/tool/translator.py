"""`sûreté nucléaire` -> `nuclear safety`: a dictionary, in place of the paper's network (arXiv 2302.04761)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import ClassVar

from agenttrain.jsonfile import read_records
from agenttrain.ranges import Count, Share
from agenttrain.tool.text_tool import TextTool


@dataclass(frozen=True, kw_only=True)
class Translator(TextTool):
    """A phrase that the dictionary has as a whole, or else word by word if it has them all; case does not matter.

    Args:
        path: file of `{"text", "translation"}` records, read at first use; of two equal texts the first counts.

    Raises:
        UserError: when it runs: the file is missing or malformed.
    """

    name: ClassVar[str] = "Translator"
    task: ClassVar[str] = (
        "Add calls to a translator to the text wherever the English for a foreign phrase helps to write what comes "
        'next. Write "[Translator(phrase)]".'
    )
    examples: ClassVar[tuple[str, ...]] = (
        "His best known book is O homem suicidado [Translator(O homem suicidado)] (the man who was killed).",
        "The team wrote Abajo [Translator(Abajo)] (down) on the lower box.",
        "She lives in Neustadt [Translator(Neustadt)] (new town), as most of her friends do.",
    )

    tau_s: Share = 0.0
    k: Count = 20
    m: Count = 10
    tau_f: float = 0.5
    path: str = field(kw_only=False)

    def run(self, argument: str, today: date) -> str | None:
        """See `TextTool`."""
        words, phrase = _dictionary(self.path), argument.strip().casefold()
        if phrase in words:
            return words[phrase]
        found = [words.get(word) for word in phrase.split()]
        return " ".join(filter(None, found)) if found and all(found) else None


@cache
def _dictionary(path: str) -> dict[str, str]:
    records = [record for _, record in read_records(path, text=str, translation=str)]
    return {record["text"].strip().casefold(): record["translation"] for record in reversed(records)}
