"""What task/sql asks about and env/sql runs queries on: small invented databases, the same for equal seeds."""

from __future__ import annotations

import random
from dataclasses import dataclass

_NAMES = """Alba Bero Cato Dina Elso Fira Gano Hedi Ilva Jaro Kesa Lumo Mira Nelo Orsa Pavo Quin Rika Sano Tora Ulmo
Vena Wido Xara Yano Zeta Arno Bela Cira Dolo Enzo Fena Goro Hila Inga Joss Kuno Lena Mavo Nora"""


@dataclass(frozen=True)
class Schema:
    """Two tables: things with two numbers each, and the owners they belong to by `<owner>_id`."""

    thing: str
    numbers: tuple[str, str]
    owner: str
    trait: str
    """A column of the owners with few values."""
    traits: tuple[str, ...]

    @property
    def text(self) -> str:
        """The tables and their columns, as a policy is shown them."""
        first, second = self.numbers
        return f"{self.thing}(id, name, {first}, {second}, {self.owner}_id)\n{self.owner}(id, name, {self.trait})"


SEEN = (
    Schema("product", ("price", "stock"), "maker", "city", ("north", "south", "harbor")),
    Schema("student", ("age", "score"), "school", "town", ("hill", "lake", "field")),
    Schema("book", ("pages", "year"), "author", "country", ("east", "west", "island")),
    Schema("animal", ("weight", "speed"), "keeper", "shift", ("morning", "evening", "night")),
)
UNSEEN = (
    Schema("truck", ("load", "range"), "depot", "region", ("coast", "plain", "ridge")),
    Schema("song", ("length", "plays"), "band", "style", ("folk", "rock", "jazz")),
)
"""Schemas that no training task has."""


@dataclass(frozen=True)
class Database:
    """The rows of one schema: `(id, name, number, number, owner_id)` and `(id, name, trait)`."""

    schema: Schema
    things: tuple[tuple[int, str, int, int, int], ...]
    owners: tuple[tuple[int, str, str], ...]

    @property
    def script(self) -> str:
        """SQL that makes it in an empty database."""
        schema, (first, second) = self.schema, self.schema.numbers
        return "\n".join(
            [
                f"CREATE TABLE {schema.owner} (id INTEGER PRIMARY KEY, name TEXT, {schema.trait} TEXT);",
                f"CREATE TABLE {schema.thing} (id INTEGER PRIMARY KEY, name TEXT, {first} INTEGER, {second} INTEGER, "
                f"{schema.owner}_id INTEGER REFERENCES {schema.owner}(id));",
                *(f"INSERT INTO {schema.owner} VALUES {row};" for row in self.owners),
                *(f"INSERT INTO {schema.thing} VALUES {row};" for row in self.things),
            ]
        )


def database(schema: Schema, seed: int, things: int = 12, owners: int = 4) -> Database:
    """Rows drawn from `seed`. Names and numbers differ within a column, so that 'the highest' is one; names do not
    depend on the seed, so that one question can be asked of several databases."""
    rng = random.Random(f"database/{schema.thing}/{seed}")
    names = random.Random(f"names/{schema.thing}").sample(_NAMES.split(), things + owners)
    belongs = [number % owners + 1 for number in range(things)]
    rng.shuffle(belongs)
    first, second = (rng.sample(range(1, 100), things) for _ in range(2))
    return Database(
        schema,
        tuple(zip(range(1, things + 1), names, first, second, belongs, strict=False)),
        tuple((n + 1, name, rng.choice(schema.traits)) for n, name in enumerate(names[things:])),
    )


@dataclass(frozen=True)
class Query:
    """A question in words, and a query that answers it."""

    text: str
    sql: str


def queries(data: Database) -> list[Query]:
    """Every question about a database that the forms below make, in a fixed order; `policy=sql_expert` reads them."""
    schema, found = data.schema, []
    thing, owner, trait, key = schema.thing, schema.owner, schema.trait, f"{schema.owner}_id"
    names = [row[1] for row in data.owners]
    join = f"FROM {thing} JOIN {owner} ON {thing}.{key} = {owner}.id"
    for number in schema.numbers:
        for bound in range(10, 100, 10):
            text = f"How many rows of {thing} have {number} above {bound}?"
            found.append(Query(text, f"SELECT count(*) FROM {thing} WHERE {number} > {bound}"))
        for row in data.things:
            text = f"What is the {number} of the {thing} {row[1]}?"
            found.append(Query(text, f"SELECT {number} FROM {thing} WHERE name = '{row[1]}'"))
        for end, order in (("highest", "DESC"), ("lowest", "ASC")):
            text = f"Which {thing} has the {end} {number}?"
            found.append(Query(text, f"SELECT name FROM {thing} ORDER BY {number} {order} LIMIT 1"))
            for name in names:
                text = f"Which {thing} of the {owner} {name} has the {end} {number}?"
                where = f"WHERE {owner}.name = '{name}' ORDER BY {number} {order} LIMIT 1"
                found.append(Query(text, f"SELECT {thing}.name {join} {where}"))
        for name in names:
            text = f"What is the total {number} of the {owner} {name}?"
            found.append(Query(text, f"SELECT sum({number}) {join} WHERE {owner}.name = '{name}'"))
            text = f"List the name of each {thing} of the {owner} {name}, {number} lowest first."
            where = f"WHERE {owner}.name = '{name}' ORDER BY {number}"
            found.append(Query(text, f"SELECT {thing}.name {join} {where}"))
        text = f"What is the total {number} for each {trait}?"
        found.append(Query(text, f"SELECT {trait}, sum({number}) {join} GROUP BY {trait}"))
    return found
