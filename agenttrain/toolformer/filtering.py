"""Sampled calls -> those that are kept: which positions are tried, which calls save enough (arXiv 2302.04761)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass
class Candidate:
    """One sampled call: a line of `candidates.jsonl`. Losses are in nats, None where the call was not scored."""

    text: int
    """Number of the text in the corpus, from 0."""
    tool: str
    position: int
    """Of the token before which the call stands."""
    at: int
    """Of the same place, in characters."""
    p: float
    """Probability that a call opens here."""
    call: str
    """What the model wrote between the brackets."""
    result: str | None = None
    loss_empty: float | None = None
    """Of the tokens that follow, without any call."""
    loss_call: float | None = None
    """With the call and no result."""
    loss_result: float | None = None
    """With the call and its result."""
    gain: float | None = None
    """min(loss_empty, loss_call) - loss_result."""
    kept: bool = False
    reason: str | None = None
    """Why it was not kept."""


def positions(chances: Sequence[float], tau_s: float, k: int) -> list[int]:
    """Of the k likeliest those above `tau_s`, in order; of equals the earlier. `chances[0]` is of position 1."""
    tried = [place for place, chance in enumerate(chances, start=1) if chance > tau_s]
    return sorted(sorted(tried, key=lambda place: -chances[place - 1])[:k])


def judge(candidate: Candidate, tau_f: float) -> None:
    """Keep a scored call if and only if its gain reaches `tau_f`."""
    if candidate.loss_empty is None or candidate.loss_call is None or candidate.loss_result is None:
        raise ValueError("this call was not scored")
    candidate.gain = min(candidate.loss_empty, candidate.loss_call) - candidate.loss_result
    candidate.kept = candidate.gain >= tau_f
    candidate.reason = None if candidate.kept else "gain below tau_f"


def keep_one_per_place(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The calls to insert, in order of their places: where several were kept, the one that gains most."""
    best: dict[int, Candidate] = {}
    for candidate in filter(lambda candidate: candidate.kept, candidates):
        rival = best.setdefault(candidate.at, candidate)
        if (candidate.gain or 0.0) > (rival.gain or 0.0):
            best[candidate.at] = candidate
            candidate, rival = rival, candidate
        if candidate is not rival:
            candidate.kept, candidate.reason = False, "a better call stands here"
    return [best[at] for at in sorted(best)]


def merged(text: str, calls: Iterable[tuple[int, str]]) -> str:
    """The text with each call put in at its character."""
    for at, call in sorted(calls, reverse=True):
        text = text[:at] + call + text[at:]
    return text
