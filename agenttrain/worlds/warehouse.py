"""Questions about a warehouse and the tools that answer them: what task=codeact asks and policy=codeact_expert reads.

Each warehouse has prices and weights of its own, which only its tools tell.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

ITEMS = tuple("ABCDEFGHIJKL")
"""The crates in it."""
MEASURES = ("price", "weight")
FOLDS = {"total": "plus", "largest": "larger"}
"""Word of a question -> the tool that joins two numbers so."""

TOOLS = '''
def price(crate):
    """The price of a crate."""
    return {price}[crate]

def weight(crate):
    """The weight of a crate."""
    return {weight}[crate]

def plus(a, b):
    """The sum of two numbers."""
    return a + b

def larger(a, b):
    """The larger of two numbers."""
    return max(a, b)
'''


@dataclass(frozen=True)
class Question:
    """`What is the total price of A, B?`"""

    fold: str
    measure: str
    items: tuple[str, ...]

    @property
    def text(self) -> str:
        return f"What is the {self.fold} {self.measure} of {', '.join(self.items)}?"

    def answer(self, table: dict[str, dict[str, int]]) -> int:
        """In the warehouse of this `table`: measure -> crate -> number."""
        numbers = [table[self.measure][item] for item in self.items]
        return sum(numbers) if self.fold == "total" else max(numbers)


def draw(rng: random.Random, lengths: list[int]) -> Question:
    """A question about as many crates as one of `lengths` says."""
    items = rng.sample(ITEMS, rng.choice(lengths))
    return Question(rng.choice(list(FOLDS)), rng.choice(MEASURES), tuple(items))


def stock(rng: random.Random) -> dict[str, dict[str, int]]:
    """The numbers of a warehouse: measure -> crate -> 10 to 33, no two alike; three add up to two digits, too."""
    return {measure: dict(zip(ITEMS, rng.sample(range(10, 34), len(ITEMS)), strict=True)) for measure in MEASURES}


def read(text: str) -> Question | None:
    """The question that `text` asks; None if it asks another."""
    found = re.search(r"What is the (\w+) (\w+) of ([\w, ]+)\?", text)
    if found is None or found[1] not in FOLDS or found[2] not in MEASURES:
        return None
    return Question(found[1], found[2], tuple(found[3].split(", ")))
