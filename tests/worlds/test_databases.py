import sqlite3

import pytest

from agenttrain.worlds.databases import SEEN, UNSEEN, database, queries

SCHEMAS = [*SEEN, *UNSEEN]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.thing)
def test_every_question_has_an_answer_on_other_rows_too(schema):
    for seed in range(3):
        connection = sqlite3.connect(":memory:")
        connection.executescript(database(schema, seed).script)
        for query in queries(database(schema, 0)):  # asked of the first, answered on each
            assert connection.execute(query.sql).fetchall(), query


def test_equal_seeds_make_equal_rows_and_others_do_not():
    assert database(SEEN[0], 3) == database(SEEN[0], 3)
    assert database(SEEN[0], 3).things != database(SEEN[0], 4).things


def test_the_schema_shown_is_the_schema_made():
    for schema in SCHEMAS:
        connection = sqlite3.connect(":memory:")
        connection.executescript(database(schema, 0).script)
        for line in schema.text.splitlines():
            name, columns = line.rstrip(")").split("(")
            made = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
            assert made == columns.split(", ")


def test_the_highest_is_one():
    for schema in SCHEMAS:
        for column in (2, 3):
            numbers = [row[column] for row in database(schema, 1).things]
            assert len(set(numbers)) == len(numbers)
