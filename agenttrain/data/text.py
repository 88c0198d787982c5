"""Plain texts -> Example: no conversation, and every token carries loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from agenttrain.data.select import Report, chance
from agenttrain.errors import UserError
from agenttrain.jsonfile import read_records
from agenttrain.ranges import Share
from agenttrain.types import Example


@dataclass(kw_only=True)
class Text:
    """Records `{"text"}` of one or several files. Each iteration reads the files anew and fills `report`.

    Args:
        path: file to read, or a list of them.
        duplicates: keep texts that equal an earlier one.
        share: about this share of the texts, 0 to 1, drawn by `seed`.

    Raises:
        UserError: on iteration: no such file, malformed content, nothing kept.
    """

    path: str | list[str] = field(kw_only=False)
    duplicates: bool = False
    share: Share = 1.0
    seed: int = 0
    report: Report = field(default_factory=Report, init=False, repr=False)

    def __iter__(self) -> Iterator[Example]:
        self.report = report = Report()
        seen: set[str] = set()
        for path in [self.path] if isinstance(self.path, str) else self.path:
            for place, record in read_records(path, text=str):
                report.records += 1
                if reason := self._unwanted(record["text"], seen):
                    report.dropped[reason] += 1
                    continue
                report.kept += 1
                yield Example(str(report.records), [], source=place, text=record["text"])
        if not report.kept:
            reasons = ", ".join(f"{reason}: {count}" for reason, count in report.dropped.items())
            raise UserError(f"{self.path}: no text is left to train on ({reasons}).")

    def _unwanted(self, text: str, seen: set[str]) -> str | None:
        if not text.strip():
            return "empty"
        if text in seen and not self.duplicates:
            return "duplicate"
        seen.add(text)
        return "not in the share" if self.share < 1 and chance(f"{self.seed} {text}") >= self.share else None
