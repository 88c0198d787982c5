"""Labelled records -> those that train, and those kept out to measure with."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from agenttrain.trainer.tokens import Tokens
from agenttrain.types import Example


def split(rows: Sequence[tuple[Example, Tokens]], share: float, seed: int) -> tuple[list[Tokens], list[Tokens]]:
    """Training and held-out sequences; about `share` of the records are held out.

    Records that open with the same question stay on one side, so that another method's answer to a held-out question
    is never trained on. Which are held out depends on seed and questions, not on the order of the file.
    """
    groups: dict[str, list[Tokens]] = {}
    for example, tokens in rows:
        groups.setdefault(question(example), []).append(tokens)
    ranked = sorted(groups, key=lambda asked: sha256(f"{seed} {asked}".encode()).digest())
    wanted = min(max(1, round(share * len(rows))), len(rows) - 1) if share > 0 and len(groups) > 1 else 0
    held: set[str] = set()
    count = 0
    for asked in ranked[:-1]:
        if count >= wanted:
            break
        held.add(asked)
        count += len(groups[asked])
    train = [tokens for example, tokens in rows if question(example) not in held]
    return train, [tokens for example, tokens in rows if question(example) in held]


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
