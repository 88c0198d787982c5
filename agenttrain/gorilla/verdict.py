"""Answer -> accuracy, hallucination or error: exactly one of them, on the syntax tree (Gorilla, arXiv 2305.15334)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agenttrain.gorilla.calls import ApiCall, calls, read_answer
from agenttrain.gorilla.documents import Document

Verdict = Literal["accuracy", "hallucination", "error"]

_TOLD = ("repo_or_dir", "model")
"""Arguments by which the paper's script knows an API of PyTorch Hub; where a call names them, no others count."""


class Database:
    """The calls of all documents, to judge answers by."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._known = [(document, call) for document in documents if (call := document.api)]

    def judge(self, answer: str, gold: Document) -> Verdict:
        """
        - `accuracy`: the answer's call is that of `gold`;
        - `hallucination`: it calls what does not exist: no API has its callee, and strings among those that it gives;
        - `error`: anything else, such as another API, the right one with a wrong argument, or no call at all.
        """
        given, wanted = read_answer(answer), gold.api
        if given is None or wanted is None:
            return "error"
        if given.same(wanted):
            return "accuracy"
        exists = any(_names(given, call) for call in (wanted, *(call for _, call in self._known)))
        return "error" if exists else "hallucination"

    def judge_legacy(self, answer: str, gold: Document) -> Verdict:
        """As the paper's scripts: an answer stands for the first API of the database whose callee it has, and whose
        arguments stand somewhere in its text. `accuracy` if the domain of that API is that of `gold`, whatever it is
        called, else `error`; `hallucination` where there is none."""
        field = answer.partition("api_call")[2].partition("api_provider")[0] or answer
        given = list(calls(field))
        for document, call in self._known:
            if any(_mentions(one, call) for one in given):
                return "accuracy" if document.domain == gold.domain else "error"
        return "hallucination"


def _names(given: ApiCall, call: ApiCall) -> bool:
    return given.callee == call.callee and set(call.strings) <= set(given.strings)


def _mentions(given: ApiCall, call: ApiCall) -> bool:
    told = [value for name, value in call.keywords.items() if name in _TOLD] or call.values
    return given.callee == call.callee and bool(told) and all(value.strip("'\"") in given.text for value in told)
