"""A text -> its continuation, in which the model may call a tool once: inference of Toolformer (arXiv 2302.04761)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from agenttrain.ranges import Count, Whole
from agenttrain.tool.text_tool import TextTool
from agenttrain.toolformer import calls
from agenttrain.toolformer.annotate import opening_token

if TYPE_CHECKING:
    from torch import Tensor

    from agenttrain.model.loaded import Loaded


@dataclass
class Continuation:
    """What was written after a text."""

    text: str
    """With the call and its result, if one was executed."""
    said: str
    """Without."""
    call: str | None = None
    """What the model wrote after the opening, whether or not it could be executed."""
    result: str | None = None
    tokens: int = 0
    """Written by the model: none of the result."""


@dataclass(frozen=True)
class Decoder:
    """Takes the likeliest token, but opens a call wherever the opening is among the `k` likeliest.

    A call that is malformed, or has no result, is taken out again; the text goes on without any.

    Args:
        k: 1 calls where greedy decoding would, 0 never.
        max_tokens: most tokens of a continuation; a call has as many again.
    """

    k: Whole = 10
    max_tokens: Count = 64

    def write(
        self, loaded: Loaded, texts: Sequence[str], tools: Sequence[TextTool], today: date, stop: str = "\n"
    ) -> list[Continuation]:
        """Continue each text up to `stop`, the end of the text, or `max_tokens`."""
        starts = [loaded.chat.start() + loaded.chat.text(text) for text in texts]
        before = self._greedy(loaded, starts, self.k, stop)
        found = [_continuation(loaded, ids, opening_token(loaded), stop) for ids in before]
        opened = [place for place, ids in enumerate(before) if ids and ids[-1] == opening_token(loaded)]
        asked = self._greedy(loaded, [starts[place] + before[place] for place in opened], 0, stop, in_call=True)
        for place, ids in zip(opened, asked, strict=True):
            written = str(loaded.tokenizer.decode(ids))
            found[place].call, found[place].result = written, _run(written, tools, today)
            found[place].tokens += len(ids)
        contexts = [starts[p] + before[p][:-1] + loaded.chat.text(_shown(found[p])) for p in opened]
        after = self._greedy(loaded, contexts, 0, stop)
        for place, ids in zip(opened, after, strict=True):
            rest = _continuation(loaded, ids, None, stop)
            found[place].text += _shown(found[place]) + rest.text
            found[place].said += rest.said
            found[place].tokens += rest.tokens
        return found

    def _greedy(
        self, loaded: Loaded, contexts: Sequence[Sequence[int]], k: int, stop: str, in_call: bool = False
    ) -> list[list[int]]:
        """The likeliest tokens up to an opening (never one with k = 0), or, in a call, up to where it asks for its
        result."""
        from agenttrain.toolformer.reading import write

        opening, end = opening_token(loaded), loaded.tokenizer.eos_token_id

        def pick(logits: Tensor) -> Tensor:
            if k == 0:
                logits[:, opening] = -float("inf")
                return logits.argmax(-1)
            opens = (logits > logits[:, opening, None]).sum(-1) < k
            return logits.argmax(-1).where(~opens, opening)

        def over(ids: list[int]) -> bool:
            text = str(loaded.tokenizer.decode(ids))
            return ids[-1] in (end, opening) or (calls.ended(text) if in_call else stop in text)

        written: list[list[int]] = []
        for start in range(0, len(contexts), ROWS):
            written += write(loaded.model, contexts[start : start + ROWS], pick, over, self.max_tokens)
        return written


ROWS = 256
"""Texts that are continued at once."""


def _continuation(loaded: Loaded, ids: list[int], opening: int | None, stop: str) -> Continuation:
    said = ids[:-1] if ids and ids[-1] in (opening, loaded.tokenizer.eos_token_id) else ids
    text = str(loaded.tokenizer.decode(said)).partition(stop)[0]
    return Continuation(text, text, tokens=len(ids))


def _run(written: str, tools: Sequence[TextTool], today: date) -> str | None:
    call = calls.read(written)
    tool = next((tool for tool in tools if call and tool.name == call[0]), None)
    return tool.run(call[1], today) if call and tool else None


def _shown(continuation: Continuation) -> str:
    """The executed call as it stands in the text; nothing where none was."""
    call = calls.read(continuation.call or "")
    executed = call is not None and continuation.result is not None
    return calls.written(*call, continuation.result) if call and executed else ""
