"""Labelled records -> those that train, and those kept out to measure with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256

from agenttrain.trainer.tokens import Tokens
from agenttrain.types import Example

Row = tuple[Example, Tokens]


def split(rows: Sequence[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Training and held-out records; about `share` of the records are held out.

    Records that open with the same question stay on one side, so that another method's answer to a held-out question
    is never trained on. Which are held out depends on seed and questions, not on the order of the file.
    """
    groups = Counter(question(example) for example, _ in rows)
    ranked = sorted(groups, key=lambda asked: sha256(f"{seed} {asked}".encode()).digest())
    wanted = min(max(1, round(share * len(rows))), len(rows) - 1) if share > 0 and len(groups) > 1 else 0
    held: set[str] = set()
    count = 0
    for asked in ranked[:-1]:
        if count >= wanted:
            break
        held.add(asked)
        count += groups[asked]
    return [row for row in rows if question(row[0]) not in held], [row for row in rows if question(row[0]) in held]


def question(example: Example) -> str:
    """What the record is about: all that the user says before the first reply, or the whole of a plain text."""
    if example.text:
        return example.text
    texts = []
    for message in example.messages:
        if message["role"] == "assistant":
            break
        if message["role"] == "user":
            texts.append(str(message.get("content")))
    return "\n".join(texts)
