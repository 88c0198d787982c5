"""Files of API documents -> Document, and what happens to one when its API is renamed (Gorilla, arXiv 2305.15334)."""

from __future__ import annotations

import json
import random
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from agenttrain.errors import UserError
from agenttrain.gorilla.calls import ApiCall, calls, last_name
from agenttrain.jsonfile import read_records

Split = Literal["train", "heldout", "all"]

SYLLABLES = [first + second for first in "bdfgklmnprstvz" for second in "aeiou"]
"""Of invented names."""


@dataclass(frozen=True, eq=False)
class Document:
    """What is told of one API."""

    id: str
    record: dict[str, Any]
    """The fields of the file, as APIBench has them: `api_call` (Python), `domain`, `functionality`, ..."""

    @property
    def call(self) -> str:
        return str(self.record["api_call"])

    @cached_property
    def api(self) -> ApiCall | None:
        """The call as a syntax tree; of several that it holds, the first."""
        return next(calls(self.call), None)

    @property
    def domain(self) -> str:
        return str(self.record.get("domain", ""))

    @property
    def heldout(self) -> bool:
        """A fixed fifth of all APIs, by their calls, in every file and for every seed."""
        return zlib.crc32(self.call.encode()) % 5 == 0

    def text(self, max_chars: int) -> str:
        """As a prompt shows it, cut at `max_chars` characters."""
        return json.dumps(self.record, ensure_ascii=False)[:max_chars]

    def names(self) -> set[str]:
        """What a request must not say: the strings of the call, their last parts and `api_name`; but for words that
        tell its domain or what it does."""
        told = f"{self.domain} {self.record.get('functionality', '')}".lower().replace("-", " ")
        words = {str(self.record.get("api_name", "")), *(self.api.strings if self.api else ())}
        words |= {last for word in words if re.search(r"[^a-z]", last := last_name(word))}  # no `vision`
        return {word for word in words if len(word) > 2 and word.lower().replace("-", " ") not in told}


def of_split(documents: Sequence[Document], split: Split) -> list[Document]:
    """Those that are held out, the others, or all."""
    return [document for document in documents if split == "all" or document.heldout == (split == "heldout")]


def fault_of(record: Any) -> str | None:
    """Why a record is no document, or None."""
    if not isinstance(record, dict) or not str(record.get("api_call") or "").strip():
        return "no API call"
    return None if any(calls(str(record["api_call"]))) else "the API call is no call in Python"


def read_documents(path: str) -> tuple[list[Document], Counter[str]]:
    """The documents of a file (or of every `.json` and `.jsonl` of a folder), and how many records are none, by reason.

    Raises:
        UserError: no such file, malformed, or not one document in it.
    """
    files = sorted(file for file in Path(path).glob("*.json*") if file.is_file()) if Path(path).is_dir() else [path]
    documents, dropped = [], Counter[str]()
    for file in files:
        for number, (_, record) in enumerate(read_records(file), start=1):
            if fault := fault_of(record):
                dropped[fault] += 1
            else:
                documents.append(Document(f"{Path(file).stem}/{number}", record))
    if not documents:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in dropped.items()) or "no .json or .jsonl file"
        raise UserError(
            f'{path} holds no document of an API ({reasons}).\nOne is a record {{"api_call": Python, ...}}.'
        )
    return documents, dropped


def changed(document: Document, rng: random.Random) -> Document:
    """The same API after a release that renamed it: the last string of its call has a fresh last part, wherever the
    document tells it. One without a string stays as it is."""
    named = [word for word in document.api.strings if word] if document.api else []
    if not named:
        return document
    old = named[-1]
    new = old[: old.rindex(last_name(old))] + "".join(rng.choices(SYLLABLES, k=2))
    text = json.dumps(document.record).replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1])
    return Document(document.id, json.loads(text))
