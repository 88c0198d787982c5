"""What task/hopqa asks about and env/hopqa lets be searched: an invented world, the same for equal seeds."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import product

from agenttrain.bm25 import Passage
from agenttrain.errors import UserError

SIZES = range(20, 1001)
"""How many people a world may have; the titles of works are used up beyond."""

_GIVEN = "Ada Ben Cora Dan Ella Finn Gina Hugo Iris Jack Kate Leo Mona Nick Olga Paul Rosa Sam Tina Will"
_ADJECTIVES = """Amber Ancient Bitter Black Blue Brave Bright Broken Burning Calm Clear Cold Common Crystal Dark Deep
Distant Early Empty Endless Fallen First Frozen Gentle Golden Great Green Heavy Hidden High Hollow Iron Last Late Little
Long Lost Narrow Open Pale Perfect Quiet Red Secret Silent Silver Slow White Wild Young"""
_NOUNS = """Arrow Bell Bird Book Bridge Candle Castle Circle Cloud Crown Dance Desert Door Dream Field Fire Flower
Forest Garden Gate Ghost Harbor Heart Hill Home House Island King Lake Letter Light Mirror Moon Morning Mountain Night
Ocean Path Queen Rain Ring Road Rose Shadow Ship Song Storm Summer Tower Winter"""
_WORKS = (("novel", "author"), ("film", "director"), ("song", "composer"))
_TRADES = ("Mills", "Press", "Motors", "Foods")
_SYLLABLES = ["".join(pair) for pair in product("bdfgklmnprstvz", "aeiou")]
_PERSONS = {"author", "director", "composer", "founder"}


@dataclass(frozen=True)
class Question:
    """A chain of facts: each of `relations` leads from one thing, first `subject`, to the next, last `answer`."""

    subject: str
    relations: tuple[str, ...]
    answer: str
    gold: tuple[str, ...]
    """Titles of the passages that tell the facts, in order; as many as relations."""

    @property
    def text(self) -> str:
        chain = " of the ".join(reversed(self.relations))
        return f"{'Who' if self.relations[-1] in _PERSONS else 'What'} is the {chain} of {self.subject}?"


class World:
    """People, their works, companies, cities and countries: `passages` tells of them, `questions` asks.

    Passages share no word with questions but names, so that a search finds what a name belongs to and no more.

    Args:
        seed: of names and facts.
        size: number of people, 20 to 1000; a passage each for them, twice as many works and half as many other things.
    """

    def __init__(self, seed: int, size: int) -> None:
        if size not in SIZES:
            raise UserError(f"A world of {size} people cannot be made. Take size={SIZES.start} to {SIZES.stop - 1}.")
        self._rng = random.Random(f"world/{seed}/{size}")
        self._names = set[str]()
        self._facts: dict[str, dict[str, str]] = {}
        self.passages: list[Passage] = []
        people = [f"{self._rng.choice(_GIVEN.split())} {self._name('n', 'r', 's')}" for _ in range(size)]
        companies = [f"{self._name('l')} {self._rng.choice(_TRADES)}" for _ in range(size // 4)]
        cities = [self._name("burg", "ford", "ton") for _ in range(size // 5)]
        countries = [self._name("land", "via") for _ in range(size // 20)]
        self._tell_works(people)
        self._tell_people_and_companies(people, companies, cities)
        self._tell_places(cities, countries)

    def questions(self, hops: int) -> list[Question]:
        """Every question that takes `hops` look-ups: its answer stands neither in it nor in an earlier passage."""
        found = []
        chains = [(subject, (), subject, ()) for subject in self._facts]
        for _ in range(hops):
            chains = [
                (subject, (*relations, relation), value, (*gold, end))
                for subject, relations, end, gold in chains
                for relation, value in self._facts.get(end, {}).items()
            ]
        texts = {passage.title: str(passage) for passage in self.passages}
        for subject, relations, answer, gold in chains:
            if not any(answer in text for text in (subject, *(texts[title] for title in gold[:-1]))):
                found.append(Question(subject, relations, answer, gold))
        return found

    def _tell(self, title: str, text: str, **facts: str) -> None:
        self._facts[title] = facts
        self.passages.append(Passage(title, text.format(**facts)))

    def _tell_works(self, people: list[str]) -> None:
        titles = [" ".join(words) for words in product(_ADJECTIVES.split(), _NOUNS.split())]
        for title in self._rng.sample(titles, 2 * len(people)):
            kind, maker = self._rng.choice(_WORKS)
            facts = {maker: self._rng.choice(people), "year": str(self._rng.randint(1900, 1999))}
            self._tell(title, f"A {kind} by {{{maker}}} from {{year}}.", **facts)

    def _tell_people_and_companies(self, people: list[str], companies: list[str], cities: list[str]) -> None:
        pick = self._rng.choice
        for person in people:
            text = "Born in {birthplace}. Works for {employer}."
            self._tell(person, text, birthplace=pick(cities), employer=pick(companies))
        for company in companies:
            self._tell(company, "A company in {seat}. Founded by {founder}.", seat=pick(cities), founder=pick(people))

    def _tell_places(self, cities: list[str], countries: list[str]) -> None:
        for number, city in enumerate(cities):
            country = countries[number % len(countries)]  # no country without a city
            self._tell(city, "A city in {country}. {river} flows through it.", country=country, river=self._name("m"))
        for number, country in enumerate(countries):
            capital = self._rng.choice(cities[number :: len(countries)])
            text = "A nation ruled from {capital}. People pay in {currency}."
            self._tell(country, text, capital=capital, currency=self._name("d").lower())

    def _name(self, *endings: str) -> str:
        """A word of two syllables and an ending, never given out before."""
        while True:
            name = "".join(self._rng.choices(_SYLLABLES, k=2)).capitalize() + self._rng.choice(endings)
            if name not in self._names:
                self._names.add(name)
                return name
