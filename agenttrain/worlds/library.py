"""What task/search asks about and env/search lets be searched: an invented encyclopaedia of up to 100,000 entries.

Every entry is computed from its number, so a task needs no corpus in memory, and equal seeds give equal entries in
every process.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass

MOST = 100_000
"""Entries a library may have."""
KINDS = ("person", "town", "company", "book")
RELATIONS: dict[str, dict[str, str]] = {
    "person": {"birthplace": "town", "employer": "company", "year": ""},
    "town": {"mayor": "person", "river": "", "year": ""},
    "company": {"seat": "town", "founder": "person", "year": ""},
    "book": {"author": "person", "publisher": "company", "year": ""},
}
"""Kind -> what its entries tell -> the kind of entry it leads to, if it leads on."""

_SAYS = {
    "birthplace": "Born in {}.",
    "employer": "Works for {}.",
    "mayor": "Its mayor is {}.",
    "river": "The river {} flows through it.",
    "seat": "Has its seat in {}.",
    "founder": "Was founded by {}.",
    "author": "Written by {}.",
    "publisher": "Published by {}.",
    "year": "It began in {}.",
}
_ASIDES = (
    "Some compare it with {}.",
    "There is an old quarrel with {} about a garden.",
    "A letter of {} speaks of it at length.",
    "Visitors often ask about {} and are sent elsewhere.",
    "It is not to be confused with {}.",
)
_GIVEN = "Ada Ben Cora Dan Ella Finn Gina Hugo Iris Jack Kate Leo Mona Nick Olga Paul Rosa Sam Tina Will"
_SYLLABLES = [first + second for first in "bdfgklmnprstv" for second in "aeiou"]
_WORDS = len(_SYLLABLES) ** 3
_STEP = 104_729
"""Spreads neighbouring numbers over all words; it shares no factor with their number, so that no two share a word."""


@dataclass(frozen=True)
class Entry:
    """One article."""

    kind: str
    title: str
    facts: dict[str, str]
    """Relation -> the title or value that it names."""
    text: str


class Library:
    """Entries 0 to `entries` - 1, a quarter of each kind.

    Args:
        seed: of names and facts.
        entries: how many there are; rounded down to a multiple of 4.
    """

    def __init__(self, seed: int, entries: int) -> None:
        self.seed, self.entries = seed, entries - entries % len(KINDS)
        self._shift = random.Random(f"library/{seed}").randrange(_WORDS)

    def entry(self, number: int) -> Entry:
        """
        Raises:
            IndexError: there are fewer.
        """
        if not 0 <= number < self.entries:
            raise IndexError(number)
        chance, kind = random.Random(self._drawn(number, "")), KINDS[number % len(KINDS)]
        facts = {relation: self._fact(number, relation) for relation in RELATIONS[kind]}
        says = [_SAYS[relation].format(fact) for relation, fact in facts.items()]
        says += [aside.format(self.title(chance.randrange(self.entries))) for aside in chance.sample(_ASIDES, 3)]
        chance.shuffle(says)
        return Entry(kind, self.title(number), facts, f"A {kind}. {' '.join(says)}")

    def title(self, number: int) -> str:
        """Of the entry of that number."""
        word = self._word(number)
        return {
            "person": f"{_GIVEN.split()[number // len(KINDS) % 20]} {word}",
            "town": f"{word}ton",
            "company": f"{word} Works",
            "book": f"The {word} Affair",
        }[KINDS[number % len(KINDS)]]

    def follow(self, number: int, relation: str) -> int:
        """Number of the entry that a relation leads to.

        Raises:
            ValueError: it leads to none.
        """
        place = KINDS.index(RELATIONS[KINDS[number % len(KINDS)]][relation])
        return self._drawn(number, relation) % (self.entries // len(KINDS)) * len(KINDS) + place

    def _fact(self, number: int, relation: str) -> str:
        if RELATIONS[KINDS[number % len(KINDS)]][relation]:
            return self.title(self.follow(number, relation))
        if relation == "year":
            return str(1700 + self._drawn(number, relation) % 300)
        return self._word(number + MOST) + "m"

    def _drawn(self, number: int, relation: str) -> int:
        """31 bits that depend on seed, number and relation alone; quick, as a library draws a million of them."""
        return zlib.crc32(f"{self.seed}/{number}/{relation}/{number * _STEP}".encode()) >> 1

    def _word(self, number: int) -> str:
        """Three syllables that no other number has."""
        rest, syllables = (number * _STEP + self._shift) % _WORDS, []
        for _ in range(3):
            rest, place = divmod(rest, len(_SYLLABLES))
            syllables.append(_SYLLABLES[place])
        return "".join(syllables).capitalize()
