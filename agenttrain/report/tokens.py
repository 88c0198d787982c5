"""Token ids -> the text of each token, as a report shows them: `tokenizer.json` is read without transformers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

HALF = "\ufffd"
"""What a decoder gives for bytes that are no whole character."""
LONGEST = 6
"""Tokens that one character may be cut into."""


class Words:
    """The texts of one tokenizer's tokens; where there is no tokenizer, of a token its number."""

    def __init__(self, places: Iterable[Path]) -> None:
        """The first of `places`, folders or files, that has a `tokenizer.json`."""
        self._tokenizer = next(filter(None, map(_read, places)), None)
        self._anchor = self._tokenizer.encode("a", add_special_tokens=False).ids if self._tokenizer else []
        self._piece = lru_cache(maxsize=65536)(self._render_piece)

    @property
    def known(self) -> bool:
        """Whether there is a tokenizer."""
        return self._tokenizer is not None

    def text(self, ids: Sequence[int]) -> str:
        """A stretch of tokens, special ones included."""
        if self._tokenizer is None:
            return " ".join(f"#{token}" for token in ids)
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """One text per token. Of a character that several tokens make up, the last has it and the others are empty."""
        found: list[str] = []
        pending: list[int] = []
        for token in ids:
            pending.append(token)
            text = self._piece(*pending)
            if text.endswith(HALF) and len(pending) < LONGEST:
                found.append("")
            else:
                found.append(text)
                pending = []
        if pending:
            found[-1] = self._piece(*pending)
        return found

    def _render_piece(self, *ids: int) -> str:
        """Behind another token, since some decoders cut the blank before the first one."""
        return self.text([*self._anchor, *ids])[len(self.text(self._anchor)) :]


def _read(place: Path) -> Tokenizer | None:
    from tokenizers import Tokenizer

    file = place / "tokenizer.json" if place.is_dir() else place
    try:
        return Tokenizer.from_file(str(file)) if file.is_file() else None
    except Exception:  # the library raises Exception itself for a file that is no tokenizer
        return None
