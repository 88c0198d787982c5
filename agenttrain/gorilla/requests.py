"""Document -> a request that its API answers, and whether one names the API: self-instruct (arXiv 2212.10560)."""

from __future__ import annotations

import random
import re

from agenttrain.gorilla.documents import Document

_FORMS = (
    "I need {} for my project.",
    "Which API does {}?",
    "My team is looking for {}. What should we call?",
    "Find something for {}, please.",
    "We are building an app that needs {}.",
    "How do I get {} to work in my code?",
)

MAX_CHARS = 1000
"""Of a request."""


def written(what: str, rng: random.Random) -> str:
    """A request for `what` (`bird detection`) by a template."""
    return rng.choice(_FORMS).format(what)


def refusal(request: str, document: Document) -> str | None:
    """Why a text is no request for the API, or None. Naming it would give the answer away."""
    if not request.strip():
        return "empty"
    if len(request) > MAX_CHARS:
        return "too long"
    named = (re.search(rf"(?<!\w){re.escape(name)}(?!\w)", request, re.I) for name in document.names())
    return "names the API" if any(named) else None
