"""A user's file -> questions with the passages they rest on, in HotpotQA's form (arXiv 1809.09600)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agenttrain.errors import UserError
from agenttrain.jsonfile import read_records


@dataclass(frozen=True)
class Question:
    """One record."""

    name: str
    """Its id, or its number in the file."""
    text: str
    answer: str
    gold: list[str]
    """Titles of the passages that the answer rests on; empty where the file does not say."""
    kind: str
    """`bridge`, `comparison`, or empty."""


def read_questions(path: str) -> Iterator[Question]:
    """
    Raises:
        UserError: the file is missing or malformed, or two records have one id.
    """
    used = set()
    for number, (place, record) in enumerate(read_records(path, question=str, answer=str), start=1):
        name = str(record.get("id", record.get("_id", number)))
        if name in used:
            raise UserError(f"{place}: the id '{name}' has been used before.")
        used.add(name)
        gold = _gold_titles(place, record.get("supporting_facts") or [])
        yield Question(name, record["question"], record["answer"], gold, str(record.get("type", "")))


def _gold_titles(place: str, facts: Any) -> list[str]:
    """Titles from HotpotQA's `[[title, sentence number], ...]`, or `{"title": [...]}` as its Parquet copies have it."""
    try:
        titles = facts["title"] if isinstance(facts, dict) else [title for title, _ in facts]
        return list(dict.fromkeys(titles))
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{place}: 'supporting_facts' is no list of [title, sentence number].") from None
