"""Requests for APIs: of an invented library or of a file."""

import json

import pytest

from agenttrain.errors import UserError
from agenttrain.task.gorilla import Gorilla


def apibench(path, *names):
    records = [
        {"code": f"###Instruction: I need {name}.\n###Output: x", "api_data": {"api_call": f"f('{name}')"}}
        for name in names
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def call(task):
    return task.data["document"]["api_call"]


def test_the_library_asks_once_for_each_api_and_tells_what_to_judge_by():
    tasks = list(Gorilla("all", world=3, size=50))
    assert len(set(map(call, tasks))) == 50
    for task in tasks:
        assert task.data["document"]["functionality"] in task.messages[0]["content"]
        assert task.answer is None, "a document that is shown would give it away"
        assert (task.data["world"], task.data["size"]) == (3, 50)


def test_the_splits_share_no_api_also_in_a_file(tmp_path):
    path = apibench(tmp_path / "x.json", *map(str, range(60)))
    for settings in ({}, {"pairs": path}):
        train, heldout, every = (set(map(call, Gorilla(s, **settings))) for s in ("train", "heldout", "all"))
        assert not train & heldout
        assert train | heldout == every
        assert 0 < len(heldout) < len(train)


def test_records_that_are_no_pairs_are_left_out_and_told(tmp_path, caplog):
    path = apibench(tmp_path / "x.json", "a", "b")
    with open(path, "a") as file:
        file.write(json.dumps({"code": "###Instruction: c", "api_data": {"api_call": "./run.sh"}}) + "\n")
    assert sorted(map(call, Gorilla("all", pairs=path))) == ["f('a')", "f('b')"]
    assert "left out 1 records: the API call is no call in Python" in caplog.text


def test_too_few_requests_are_an_error(tmp_path):
    with pytest.raises(UserError, match=r"2 requests .* split all, not 3"):
        list(Gorilla("all", n=3, pairs=apibench(tmp_path / "x.json", "a", "b")))


def test_a_seed_chooses_requests_and_their_wording():
    first, again, other = ([task.messages for task in Gorilla(n=10, seed=seed)] for seed in (0, 0, 1))
    assert first == again != other
