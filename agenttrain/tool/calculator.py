"""`400 / 1400` -> `0.29`: the four basic operations, by a parser of its own (arXiv 2302.04761)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import ClassVar

from agenttrain.ranges import Count, Share
from agenttrain.tool.text_tool import TextTool

LONGEST = 100
"""Characters of an expression; with no powers in the grammar, results cannot grow much longer."""
DEEPEST = 20
"""Signs and brackets within one another."""
_TOKEN = re.compile(r" *([0-9]+(?:\.[0-9]*)?|\.[0-9]+|[-+*/()])")


@dataclass(frozen=True, kw_only=True)
class Calculator(TextTool):
    """Results are exact, then rounded to two decimals, as in the paper."""

    name: ClassVar[str] = "Calculator"
    task: ClassVar[str] = (
        "Add calls to a calculator to the text wherever they help to write the number that comes next. "
        'Write "[Calculator(expression)]", where the expression has only numbers, brackets and + - * /.'
    )
    examples: ClassVar[tuple[str, ...]] = (
        "The hall has 18 rows of 24 seats, so [Calculator(18 * 24)] 432 people can sit.",
        "Of 1400 letters, 400 (or [Calculator(400 / 1400)] 29%) came back.",
        "He was born in 1911 and died in 1987, at the age of [Calculator(1987 - 1911)] 76.",
    )

    tau_s: Share = 0.0
    k: Count = 20
    m: Count = 10
    tau_f: float = 0.5

    def run(self, argument: str, today: date) -> str | None:
        """See `TextTool`."""
        value = evaluate(argument)
        if value is None:
            return None
        rounded = round(value, 2)
        return f"{rounded.numerator}" if rounded.denominator == 1 else f"{_decimal(rounded)}"


def evaluate(expression: str) -> Fraction | None:
    """The exact value; None of what is no expression, divides by zero, or is longer or deeper than the limits."""
    tokens = _tokens(expression)
    if not tokens:
        return None
    try:
        value, end = _sum(tokens, 0, 0)
    except (_Malformed, ZeroDivisionError):
        return None
    return value if end == len(tokens) else None


class _Malformed(Exception):
    pass


def _tokens(expression: str) -> list[str]:
    """Empty if any part of the text is no token."""
    expression = expression.rstrip(" ")
    if len(expression) > LONGEST:
        return []
    tokens, end = [], 0
    while end < len(expression):
        found = _TOKEN.match(expression, end)
        if not found:
            return []
        tokens.append(found[1])
        end = found.end()
    return tokens


def _sum(tokens: list[str], at: int, depth: int) -> tuple[Fraction, int]:
    value, at = _product(tokens, at, depth)
    while at < len(tokens) and tokens[at] in "+-":
        right, end = _product(tokens, at + 1, depth)
        value, at = (value + right if tokens[at] == "+" else value - right), end
    return value, at


def _product(tokens: list[str], at: int, depth: int) -> tuple[Fraction, int]:
    value, at = _factor(tokens, at, depth)
    while at < len(tokens) and tokens[at] in "*/":
        right, end = _factor(tokens, at + 1, depth)
        value, at = (value * right if tokens[at] == "*" else value / right), end
    return value, at


def _factor(tokens: list[str], at: int, depth: int) -> tuple[Fraction, int]:
    if at == len(tokens) or depth > DEEPEST:
        raise _Malformed
    if tokens[at] == "-":
        value, end = _factor(tokens, at + 1, depth + 1)
        return -value, end
    if tokens[at] == "(":
        value, end = _sum(tokens, at + 1, depth + 1)
        if tokens[end : end + 1] != [")"]:
            raise _Malformed
        return value, end + 1
    if tokens[at] in "+*/)":
        raise _Malformed
    return Fraction(tokens[at]), at + 1


def _decimal(value: Fraction) -> str:
    """A number of at most two decimals, without zeros at its end."""
    whole, hundredths = divmod(abs(value.numerator) * 100 // value.denominator, 100)
    return f"{'-' if value < 0 else ''}{whole}.{hundredths:02d}".rstrip("0")
