import json

import pytest

from agenttrain.errors import UserError
from agenttrain.task.sql import Sql
from agenttrain.worlds.databases import UNSEEN


def ids(**settings):
    return [task.id for task in Sql(**settings)]


def test_splits_share_no_question_and_unseen_no_schema():
    train, heldout, unseen = (list(Sql(split)) for split in ("train", "heldout", "unseen"))
    assert {task.id for task in train}.isdisjoint(task.id for task in heldout)
    assert len(train) > 3 * len(heldout) > 100
    assert {task.data["schema"] for task in unseen} == {schema.thing for schema in UNSEEN}
    assert {task.data["schema"] for task in (*train, *heldout)}.isdisjoint(schema.thing for schema in UNSEEN)
    assert len(ids(split="all")) == len(train) + len(heldout) + len(unseen)


def test_equal_seeds_give_equal_tasks_and_n_is_a_choice_among_all():
    assert ids(n=20, seed=1) == ids(n=20, seed=1) != ids(n=20, seed=2)
    assert len(set(ids(n=20))) == 20


def test_a_file_in_spiders_form_and_one_in_intercodes_give_the_same_tasks(tmp_path):
    spider, intercode = tmp_path / "spider" / "dev.json", tmp_path / "intercode" / "dev.json"
    for path, records in (
        (spider, [{"db_id": "pets", "question": "How many?", "query": "SELECT 1"}]),
        (intercode, [{"db": "pets", "query": "How many?", "gold": "SELECT 1"}]),
    ):
        path.parent.mkdir()
        path.write_text(json.dumps(records))
    first, second = (list(Sql("all", questions=str(path))) for path in (spider, intercode))
    assert first == second
    assert (first[0].answer, first[0].data["db"]) == ("SELECT 1", "pets")
    assert first[0].messages[-1]["content"] == "How many?"


def test_the_questions_of_a_database_stand_on_one_side(tmp_path):
    path = tmp_path / "dev.json"
    records = [{"db_id": f"d{n % 20}", "question": f"{n}?", "query": "SELECT 1"} for n in range(100)]
    path.write_text(json.dumps(records))
    train, heldout = ({task.data["db"] for task in Sql(split, questions=str(path))} for split in ("train", "heldout"))
    assert train
    assert heldout
    assert train.isdisjoint(heldout)


def test_faults_are_told(tmp_path):
    path = tmp_path / "dev.json"
    path.write_text(json.dumps([{"query": "SELECT 1", "question": "?"}]))
    with pytest.raises(UserError, match=r"dev\.json, record 1: a record has texts db_id"):
        list(Sql(questions=str(path)))
    with pytest.raises(UserError, match="160 questions in split unseen, not 999"):
        list(Sql("unseen", n=999))
    with pytest.raises(UserError, match="no split 'unseen'"):
        Sql("unseen", questions=str(path))
