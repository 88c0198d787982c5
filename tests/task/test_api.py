import json

import pytest

from agenttrain.errors import UserError
from agenttrain.services.trade import UNSEEN
from agenttrain.task.api import Api


def ids(**settings):
    return [task.id for task in Api(**settings)]


def test_splits_share_no_wish_and_unseen_no_service():
    train, heldout, unseen = (list(Api(split)) for split in ("train", "heldout", "unseen"))
    assert {task.id for task in train}.isdisjoint(task.id for task in heldout)
    assert len(train) > 3 * len(heldout) > 1000
    assert {task.data["service"] for task in unseen} == {trade.name for trade in UNSEEN}
    assert {task.data["service"] for task in (*train, *heldout)}.isdisjoint(trade.name for trade in UNSEEN)
    assert len(ids(split="all")) == len(set(ids(split="all"))) == len(train) + len(heldout) + len(unseen)


def test_equal_seeds_give_equal_tasks_and_n_is_a_choice_among_all():
    assert ids(n=20, seed=1) == ids(n=20, seed=1) != ids(n=20, seed=2)
    assert len(set(ids(n=20))) == 20


def test_services_and_copies_are_chosen():
    tasks = list(Api("all", services=["garage"], copies=2))
    assert {(task.data["service"], task.data["rows"]) for task in tasks} == {("garage", 0), ("garage", 1)}
    with pytest.raises(UserError, match="Split train of task=api has no service 'garage', but: bookshop, hotel"):
        list(Api(services=["garage"]))


def test_a_file_of_wishes(tmp_path):
    path = tmp_path / "wishes.json"
    calls = [{"name": "light", "arguments": {"on": True}}, {"name": "leave"}]
    path.write_text(json.dumps([{"wish": "Light it.", "calls": calls}, {"wish": "How many?", "answer": "2"}]))
    first, second = sorted(Api("all", wishes=str(path)), key=lambda task: task.id)
    assert first.messages[-1]["content"] == "Light it."
    assert (first.answer, second.answer) == ({"calls": [["light", {"on": True}], ["leave", {}]]}, {"answer": "2"})


def test_faults_are_told(tmp_path):
    path = tmp_path / "wishes.json"
    for record, message in (
        ({"wish": "?"}, "needs an answer"),
        ({"wish": "?", "answer": 2}, "needs an answer"),
        ({"wish": "?", "calls": ["light"]}, "calls are a list"),
    ):
        path.write_text(json.dumps([record]))
        with pytest.raises(UserError, match=rf"wishes\.json, record 1: .*{message}"):
            list(Api("all", wishes=str(path)))
    with pytest.raises(UserError, match="no split 'unseen'"):
        Api("unseen", wishes=str(path))
    with pytest.raises(UserError, match=r"not 99999\. Lower task\.n"):
        list(Api(n=99999))
