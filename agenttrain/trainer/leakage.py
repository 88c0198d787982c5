"""Held-out records beside those that train -> how many of them training has seen already."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from agenttrain.trainer.heldout import question
from agenttrain.types import Example

RUN = 10
"""Words in a row that two records do not share by chance, and the least share of a record's words that lie in such
runs for it to count as seen: the contamination measure of Llama 2 (arXiv 2307.09288, appendix A.6)."""
SHARE = 0.8


@dataclass
class Leaks:
    """Of one held-out set; a record counts once."""

    records: int = 0
    asked: int = 0
    """Records whose question is asked in training, whatever is answered."""
    said: int = 0
    """Others of whose trained words `SHARE` or more stand in training, in runs of `RUN` words."""

    def __str__(self) -> str:
        return (
            f"{self.asked + self.said} of {self.records} ({self.asked} by the question, {self.said} by what they say)"
        )


def leaks(train: Iterable[Example], heldout: Sequence[Example]) -> Leaks:
    """Case, punctuation and white space do not count. `train` may repeat records; it is read once, and only what
    `heldout` holds is kept."""
    questions = [_words(question(example)) for example in heldout]
    spoken = [_words(_trained(example)) for example in heldout]
    asked_of, runs_of = set(questions), {run for words in spoken for run in _runs(words)}
    asked: set[tuple[str, ...]] = set()
    runs: set[tuple[str, ...]] = set()
    read: set[tuple[str, str]] = set()
    for example in train:
        if (example.source, example.id) in read and example.source:
            continue
        read.add((example.source, example.id))
        asked |= asked_of & {_words(question(example))}
        runs |= runs_of.intersection(_runs(_words(_trained(example))))
    found = Leaks(len(heldout))
    for words, said in zip(questions, spoken, strict=True):
        if words and words in asked:
            found.asked += 1
        elif said and _covered(said, runs) >= SHARE * len(said):
            found.said += 1
    return found


def _covered(words: tuple[str, ...], runs: set[tuple[str, ...]]) -> int:
    """Number of `words` that lie in one of `runs`."""
    places = {place for start, run in enumerate(_runs(words)) if run in runs for place in range(start, start + RUN)}
    return len(places)


def _runs(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    return (words[start : start + RUN] for start in range(len(words) - RUN + 1))


def _trained(example: Example) -> str:
    """What carries loss, as text; of calls what they say, not the form that all of them have."""
    trained = [message for message in example.messages if message["role"] == "assistant" and message.get("train")]
    calls = [[call["function"] for call in message.get("tool_calls") or []] for message in trained]
    said = [
        f"{message.get('content') or ''} " + " ".join(f"{made['name']} {made['arguments']}" for made in of_message)
        for message, of_message in zip(trained, calls, strict=True)
    ]
    return example.text or "\n".join(said)


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.lower()))
