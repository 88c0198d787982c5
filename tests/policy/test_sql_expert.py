import pytest

from agenttrain.errors import UserError
from agenttrain.policy.sql_expert import SqlExpert, read_question
from agenttrain.types import Conversation
from agenttrain.worlds.databases import SEEN, UNSEEN, database, queries


@pytest.mark.parametrize("schema", [*SEEN, *UNSEEN], ids=lambda schema: schema.thing)
def test_it_writes_a_query_of_equal_result_for_every_question(schema):
    import sqlite3

    connection = sqlite3.connect(":memory:")
    connection.executescript(database(schema, 0).script)
    for query in queries(database(schema, 0)):
        given, gold = (
            connection.execute(sql).fetchall() for sql in (read_question(f"{schema.text}\n{query.text}"), query.sql)
        )
        assert given == gold, query


def conversation(*further):
    schema = SEEN[0]
    text = f"{schema.text}\n{queries(database(schema, 0))[0].text}"
    return Conversation("c", [{"role": "user", "content": text}, *further], [], seed=1, turn=len(further) // 2)


def name_of(message):
    return message["tool_calls"][0]["function"]["name"]


def test_it_looks_once_and_submits_and_an_error_makes_it_look_again():
    expert = SqlExpert()
    assert name_of(expert.act(conversation())) == "sql"
    assert name_of(expert.act(conversation({}, {"role": "tool", "content": "count(*)\n3"}))) == "submit"
    assert name_of(expert.act(conversation({}, {"role": "tool", "content": "Error: no such column"}))) == "sql"


def test_it_errs_as_often_as_told():
    always = SqlExpert(error=1.0).act(conversation({}, {"role": "tool", "content": "count(*)\n3"}))
    assert always["tool_calls"][0]["function"]["arguments"] == {"query": "SELECT 0"}


def test_another_question_is_refused():
    with pytest.raises(UserError, match="reads only invented questions"):
        read_question("a(id, b_id)\nb(id)\nHow are you?")
