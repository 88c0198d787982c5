"""Text of an answer -> the call of an API in it, as a syntax tree (Gorilla, arXiv 2305.15334)."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from agenttrain.syntax import parse_expression

LONGEST = 1000
"""Characters of a call beyond which it is none; a text of open brackets alone would take a square of its length."""
_OPENING = re.compile(r"[A-Za-z_][\w.]*\(")


@dataclass(frozen=True)
class ApiCall:
    """A call in the words of its syntax tree: quotes and blanks are gone."""

    callee: str
    """`torch.hub.load`"""
    positional: tuple[str, ...]
    keywords: dict[str, str]
    strings: tuple[str, ...]
    """The arguments that are strings, in order: what an API is called by."""
    text: str
    """As it was written."""

    def same(self, other: ApiCall) -> bool:
        """Equal callee and arguments. Keywords have no order; what one call names, the other may give by position."""
        both = self.keywords.keys() & other.keywords.keys()
        named = all(self.keywords[name] == other.keywords[name] for name in both)
        return self.callee == other.callee and named and Counter(self.values) == Counter(other.values)

    @property
    def values(self) -> list[str]:
        return [*self.positional, *self.keywords.values()]


def read_answer(text: str) -> ApiCall | None:
    """The first call in the `api_call` of an answer in the paper's form, else in the whole of it; None where there is
    none."""
    field = text.partition("api_call")[2].partition("api_provider")[0]
    return next(calls(field), None) or next(calls(text), None)


def calls(text: str) -> Iterator[ApiCall]:
    """Every call in a text, in the order in which they open; what is no Python is passed over."""
    for opening in _OPENING.finditer(text):
        node = _parse(source) if (source := _balanced(text, opening.start())) else None
        if isinstance(node, ast.Call):
            yield _read(node, source)


def last_name(word: str) -> str:
    """`resnet50` of `pytorch/resnet50` and of `https://hub/resnet50/1`."""
    parts = [part for part in re.split(r"[/:]", word) if re.search("[A-Za-z]", part)]
    return parts[-1] if parts else word


def _read(node: ast.Call, source: str) -> ApiCall:
    positional = [value for value in node.args if not isinstance(value, ast.NamedExpr)]
    keywords = {keyword.arg or "**": keyword.value for keyword in node.keywords}
    keywords |= {value.target.id: value.value for value in node.args if isinstance(value, ast.NamedExpr)}
    given = [*positional, *keywords.values()]
    return ApiCall(
        ast.unparse(node.func),
        tuple(map(ast.unparse, positional)),
        {name: ast.unparse(value) for name, value in keywords.items()},
        tuple(v.value for v in given if isinstance(v, ast.Constant) and isinstance(v.value, str)),
        source,
    )


def _balanced(text: str, start: int) -> str:
    """From `start` to where its first bracket closes; brackets within quotes do not count. Empty if it does not."""
    depth, quote = 0, ""
    for place in range(start, min(start + LONGEST, len(text))):
        letter = text[place]
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
            if not depth:
                return text[start : place + 1]
    return ""


def _parse(source: str) -> ast.expr | None:
    for attempt in (lambda: source, lambda: _walrus(source)):
        try:
            return parse_expression(attempt())
        except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
            continue
    return None


def _walrus(source: str) -> str:
    """With `name := value` for `name=value`: seven calls of APIBench have arguments by position after named ones, which
    Python does not read."""
    words = tokenize.generate_tokens(io.StringIO(source).readline)
    return tokenize.untokenize((kind, ":=" if text == "=" else text) for kind, text, *_ in words)
