"""Texts on disk -> annotated texts on disk: a line per text, a line per candidate, an account of both (2302.04761)."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

from agenttrain.errors import UserError
from agenttrain.jsonfile import read_records
from agenttrain.toolformer.annotate import Text
from agenttrain.toolformer.filtering import Candidate


def read_texts(path: str, today: date) -> list[Text]:
    """Records `{"text"}`, with a `date` where a text was written on a day of its own.

    Raises:
        UserError: no such file, no record, a record of another form.
    """
    texts = []
    for number, (place, record) in enumerate(read_records(path, text=str)):
        day = read_day(record["date"], place) if record.get("date") else today
        texts.append(Text(number, record["text"], day))
    if not any(text.text.strip() for text in texts):
        raise UserError(f"{path} holds no text: every record is empty.")
    return texts


def read_day(day: Any, where: str) -> date:
    """A date written as 2023-01-30.

    Raises:
        UserError: it is none; `where` says whose.
    """
    try:
        return date.fromisoformat(day)
    except (TypeError, ValueError):
        raise UserError(f"{where}: {day!r} is no date; write it as 2023-01-30.") from None


@dataclass
class Account:
    """What became of texts and candidates."""

    texts: int = 0
    annotated: int = 0
    """Texts that got a call."""
    fates: dict[str, Counter[str]] = field(default_factory=dict)
    """Tool -> what became of its candidates (`kept`, or the reason why not) -> how many."""

    def add(self, texts: Sequence[dict[str, Any]], candidates: Sequence[dict[str, Any]]) -> None:
        """Count lines of the two files."""
        self.texts += len(texts)
        self.annotated += sum(text["calls"] > 0 for text in texts)
        for candidate in candidates:
            fates = self.fates.setdefault(candidate["tool"], Counter())
            fates["kept" if candidate["kept"] else candidate["reason"]] += 1

    def facts(self) -> dict[str, str]:
        """In the order of a reader's questions."""
        facts = {"texts in": f"{self.texts}", "texts out": f"{self.texts}", "texts with calls": f"{self.annotated}"}
        for tool, fates in self.fates.items():
            facts |= {f"{tool}, candidates": f"{fates.total()}", f"{tool}, kept": f"{fates['kept']}"}
            dropped = [(reason, count) for reason, count in fates.most_common() if reason != "kept"]
            facts |= {f"{tool}, dropped, {reason}": f"{count}" for reason, count in dropped}
        return facts


class Annotated:
    """`annotated.jsonl` and `candidates.jsonl` in a folder, written batch by batch.

    Resuming keeps whole batches: what is sampled for a text depends on those beside it.

    Raises:
        UserError: the folder holds another corpus.
    """

    def __init__(self, folder: Path, texts: Sequence[Text], batch: int) -> None:
        self.texts, self.candidates = folder / "annotated.jsonl", folder / "candidates.jsonl"
        self.account = Account()
        lines, rows = _whole_lines(self.texts), _whole_lines(self.candidates)
        whole = len(lines) if len(lines) == len(texts) else len(lines) // batch * batch
        self.done = whole
        """Texts that need no more work."""
        for line, text in zip(lines, texts, strict=False):
            if line["of"] != _digest(text):
                raise UserError(f"{self.texts} annotates another corpus. Choose another folder with out=...")
        lines, rows = lines[:whole], [row for row in rows if row["text"] < whole]
        for path, kept in ((self.candidates, rows), (self.texts, lines)):
            path.write_text("".join(map(_line, kept)), encoding="utf-8")
        self.account.add(lines, rows)

    def add(self, texts: Sequence[Text], annotated: Sequence[str], candidates: Sequence[Candidate]) -> None:
        """Append a batch; a text's line comes after those of its candidates."""
        rows = [asdict(candidate) for candidate in candidates]
        calls = Counter(candidate.text for candidate in candidates if candidate.kept)
        lines = [
            {"text": new, "calls": calls[text.number], "of": _digest(text)}
            for text, new in zip(texts, annotated, strict=True)
        ]
        for path, added in ((self.candidates, rows), (self.texts, lines)):
            with path.open("a", encoding="utf-8") as file:
                file.write("".join(map(_line, added)))
                file.flush()
                os.fsync(file.fileno())
        self.account.add(lines, rows)


def _digest(text: Text) -> str:
    return sha256(f"{text.text} {text.today}".encode()).hexdigest()[:16]


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """Of a file that a killed run may have left with a torn end."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]
