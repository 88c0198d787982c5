"""Question -> query: knows the forms of the invented questions, or errs as often as told."""

from __future__ import annotations

import re

from agenttrain.errors import UserError
from agenttrain.policy.scripted import Scripted, call, dice
from agenttrain.ranges import Share
from agenttrain.types import Conversation, Message

_FORMS = (
    (r"How many rows of (\w+) have (\w+) above (\d+)\?", "SELECT count(*) FROM {0} WHERE {1} > {2}"),
    (r"What is the total (\w+) for each (\w+)\?", "SELECT {1}, sum({0}) {join} GROUP BY {1}"),
    (r"What is the total (\w+) of the (\w+) (\w+)\?", "SELECT sum({0}) {join} WHERE {1}.name = '{2}'"),
    (r"What is the (\w+) of the (\w+) (\w+)\?", "SELECT {0} FROM {1} WHERE name = '{2}'"),
    (r"Which (\w+) has the highest (\w+)\?", "SELECT name FROM {0} ORDER BY {1} DESC LIMIT 1"),
    (r"Which (\w+) has the lowest (\w+)\?", "SELECT name FROM {0} ORDER BY {1} LIMIT 1"),
    (
        r"Which (\w+) of the (\w+) (\w+) has the highest (\w+)\?",
        "SELECT {0}.name {join} WHERE {1}.name = '{2}' ORDER BY {3} DESC LIMIT 1",
    ),
    (
        r"Which (\w+) of the (\w+) (\w+) has the lowest (\w+)\?",
        "SELECT {0}.name {join} WHERE {1}.name = '{2}' ORDER BY {3} LIMIT 1",
    ),
    (
        r"List the name of each (\w+) of the (\w+) (\w+), (\w+) lowest first\.",
        "SELECT {0}.name {join} WHERE {1}.name = '{2}' ORDER BY {3}",
    ),
)
_TABLE = re.compile(r"^(\w+)\((.*)\)$", re.MULTILINE)


class SqlExpert(Scripted):
    """Reads the tables and the question of the opening message, runs its query once and submits it.

    Args:
        error: probability per turn, 0 to 1, of a mistake: a column that no table has, or at the end a wrong answer.
    """

    calls = frozenset({"sql", "submit"})

    def __init__(self, error: Share = 0.0) -> None:
        super().__init__()
        self.error = error

    def act(self, conversation: Conversation) -> Message:
        """
        Raises:
            UserError: the question is none about an invented database, or the tables are not shown.
        """
        query = read_question(next(m["content"] for m in conversation.messages if m["role"] == "user"))
        chance = dice(conversation)
        wrong = chance.random() < self.error
        if conversation.messages[-1]["role"] == "tool" and "Error" not in conversation.messages[-1]["content"]:
            return call(conversation, "submit", query="SELECT 0" if wrong else query)
        return call(conversation, "sql", query=query.replace("name", "title") if wrong else query)


def read_question(text: str) -> str:
    """The query that answers an invented question."""
    tables = {name: columns.split(", ") for name, columns in _TABLE.findall(text)}
    question = text.splitlines()[-1]
    for form, query in _FORMS:
        if (match := re.fullmatch(form, question)) and tables:
            thing = next(name for name, columns in tables.items() if columns[-1].endswith("_id"))
            owner = tables[thing][-1].removesuffix("_id")
            return query.format(*match.groups(), join=f"FROM {thing} JOIN {owner} ON {thing}.{owner}_id = {owner}.id")
    raise UserError(f"policy=sql_expert reads only invented questions with their tables shown, not: {question}")
