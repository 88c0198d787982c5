"""Small programs over lists of integers, in words and in code: the invented tasks of env=code, and their expert.

A program is one to three steps, each a sentence and an expression over `xs`. The last may end in a number.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """A kind of step: its sentence and its expression, both with `{n}` where a number from `low` to `high` stands."""

    sentence: str
    code: str
    low: int = 1
    high: int = 1


MIDDLE = {
    "add": Form("add {n} to every number", "[x + {n} for x in xs]", 1, 9),
    "multiply": Form("multiply every number by {n}", "[x * {n} for x in xs]", 2, 5),
    "square": Form("square every number", "[x * x for x in xs]"),
    "even": Form("keep the even numbers", "[x for x in xs if x % 2 == 0]"),
    "above": Form("keep the numbers above {n}", "[x for x in xs if x > {n}]", 0, 5),
    "reverse": Form("reverse the order", "xs[::-1]"),
    "sort": Form("sort the numbers, smallest first", "sorted(xs)"),
    "unique": Form("keep the first of equal numbers", "list(dict.fromkeys(xs))"),
    "running": Form("replace every number by the sum of all up to it", "[sum(xs[: i + 1]) for i in range(len(xs))]"),
    "first": Form("keep the first {n} numbers", "xs[:{n}]", 2, 5),
}
"""Steps that give a list."""
LAST = {
    "sum": Form("return the sum", "sum(xs)"),
    "count": Form("return how many numbers there are", "len(xs)"),
    "largest": Form("return the largest number, or 0 if there is none", "max(xs, default=0)"),
}
"""Steps that give a number."""
UNSEEN = {
    "differences": Form("replace the numbers by the differences of neighbours", "[b - a for a, b in zip(xs, xs[1:])]"),
    "rotate": Form("move the first number to the end", "xs[1:] + xs[:1]"),
    "odd": Form("drop the even numbers", "[x for x in xs if x % 2]"),
    "other": Form("keep every second number, from the first on", "xs[::2]"),
    "limit": Form("replace numbers above {n} by {n}", "[min(x, {n}) for x in xs]", 1, 9),
    "repeated": Form("keep the numbers that occur more than once", "[x for x in xs if xs.count(x) > 1]"),
}
"""Steps that give a list and are in no task but those of the split `unseen`."""

Step = tuple[str, int]
"""Name of a form, and its number."""
_FORMS = MIDDLE | LAST | UNSEEN


def draw(rng: random.Random, unseen: bool) -> list[Step]:
    """A program: two or three different steps, one or two of them of `UNSEEN` if that is asked for."""
    count = rng.choice((2, 3))
    ends = rng.random() < 0.5
    strange = rng.randint(1, count - ends) if unseen else 0
    names = rng.sample(list(UNSEEN), strange) + rng.sample(list(MIDDLE), count - ends - strange)
    rng.shuffle(names)
    names += rng.sample(list(LAST), ends)
    return [(name, rng.randint(_FORMS[name].low, _FORMS[name].high)) for name in names]


def sentences(steps: list[Step]) -> list[str]:
    """The program in words, one a step."""
    return [_FORMS[name].sentence.format(n=number) for name, number in steps]


def program(steps: list[Step]) -> str:
    """The program as the source of `solve`."""
    lines = [f"    xs = {_FORMS[name].code.format(n=number)}\n" for name, number in steps]
    return f"def solve(xs):\n{''.join(lines)}    return xs\n"


def read(sentence: str) -> Step | None:
    """The step that a sentence says, if it is one of ours."""
    for name, form in _FORMS.items():
        pattern = re.escape(form.sentence).replace(r"\{n\}", r"(\d+)")
        if match := re.fullmatch(pattern, sentence):
            return name, int(match[1]) if match.groups() else 1
    return None


def result(steps: list[Step], numbers: list[int]) -> list[int] | int:
    """What the program returns for `numbers`."""
    value: list[int] | int = numbers
    for name, number in steps:
        value = eval(_FORMS[name].code.format(n=number), {"xs": value})  # our own expressions, and nothing else
    return value
