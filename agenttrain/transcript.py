"""Trajectory -> text that another model is to read as data: in lines, cut to a length, within a fence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256

from agenttrain.types import Trajectory


def told(trajectory: Trajectory, scores: Sequence[float] = ()) -> Iterator[str]:
    """The episode in lines, its turns numbered from 1, each with its score where there are any."""
    for message in trajectory.messages:
        yield f"[{message['role']}] {message.get('content') or ''}"
    for number, turn in enumerate(trajectory.turns, start=1):
        message = turn.action.message
        yield f"[turn {number}: agent] {message.get('content') or ''}".rstrip()
        for call in message.get("tool_calls") or []:
            made = call.get("function") or {}
            yield f"[turn {number}: call] {made.get('name')} {json.dumps(made.get('arguments'), ensure_ascii=False)}"
        for answer in turn.observation.messages:
            yield f"[turn {number}: {answer['role']}] {answer.get('content') or ''}"
        if scores:
            yield f"[turn {number}: reward] {scores[number - 1]:g}"


def cut(text: str, most: int) -> str:
    """At most about `most` characters; what is longer loses its middle."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def fence(text: str) -> str:
    """A line to stand before and after `text`, which cannot hold it: nobody can write into a text its own digest."""
    return f"==== {sha256(text.encode()).hexdigest()[:16]} ===="
