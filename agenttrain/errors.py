"""What a user can cause and mend: one exception, which the command line prints without a traceback."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """One or two lines that say what is wrong and what to do; the process exits with 2."""


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """` Did you mean x?` with a leading blank, or nothing where no word comes close."""
    close = get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else ""
