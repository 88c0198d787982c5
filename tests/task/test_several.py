from collections import Counter

import pytest

from agenttrain.errors import UserError
from agenttrain.task.craft import Craft
from agenttrain.task.hopqa import Hopqa
from agenttrain.task.several import Several

OF = {"craft": Craft(n=40), "hopqa": Hopqa(n=20)}


def sources(tasks):
    return Counter(task.data["env"] for task in tasks)


def test_as_many_as_the_shares_allow():
    assert sources(Several(OF)) == {"craft": 20, "hopqa": 20}
    assert sources(Several(OF, {"craft": 2})) == {"craft": 40, "hopqa": 20}
    assert sources(Several(OF, {"craft": 3})) == {"craft": 40, "hopqa": 13}
    assert sources(Several(OF, {"craft": 0})) == {"hopqa": 20}
    assert sources(Several(OF, {"craft": 3}, n=20)) == {"craft": 15, "hopqa": 5}


def test_the_order_is_mixed_and_goes_by_the_seed():
    first, again, other = Several(OF), Several(OF), Several(OF, seed=1)
    assert [t.id for t in first] == [t.id for t in again] != [t.id for t in other]
    assert 5 < sum(task.data["env"] == "craft" for task in list(first)[:20]) < 15


def test_the_tasks_are_those_of_their_sources():
    plain = {task.id: task for task in Craft(n=40)}
    for task in Several(OF):
        if task.data["env"] == "craft":
            assert task.messages == plain[task.id].messages
            assert task.data == plain[task.id].data | {"env": "craft"}


@pytest.mark.parametrize(
    ("of", "settings", "told"),
    [
        ({}, {}, r"env=\[craft,sql\]"),
        (OF, {"shares": {"sql": 1.0}}, r"task\.shares\.sql: there is no such source"),
        (OF, {"shares": {"craft": 0, "hopqa": 0}}, "all 0"),
        (OF, {"n": 100}, r"task\.of\.craft has 40 tasks; its share of task\.n=100 is 50"),
        ({"a": Craft(n=2), "b": Craft(n=2)}, {}, "two sources have a task"),
    ],
)
def test_what_cannot_be_mixed_is_told(of, settings, told):
    with pytest.raises(UserError, match=told):
        list(Several(of, **settings))
