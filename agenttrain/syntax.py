"""Source -> syntax tree, for one thread at a time: environments read what agents wrote from many threads.

CPython 3.11 counts the depth of all threads' trees together, and now and then raises SystemError ("AST constructor
recursion depth mismatch") where two mix (python/cpython issue 106905).
"""

from __future__ import annotations

import ast
import threading
import warnings

_one = threading.RLock()


def parse(source: str) -> ast.Module:
    """Of a program. Warnings about its text, such as of a backslash that escapes nothing, are its author's.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: as `ast.parse`.
    """
    with _one, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def parse_expression(source: str) -> ast.expr:
    """Of one expression; as `parse`."""
    with _one, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source, mode="eval").body
