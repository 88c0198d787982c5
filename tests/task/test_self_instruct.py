"""One task for each document of an API."""

import json

import pytest

from agenttrain.errors import UserError
from agenttrain.task.self_instruct import SelfInstruct


def test_each_document_of_a_file_is_one_task_that_shows_it(tmp_path):
    path = tmp_path / "apis.jsonl"
    records = [{"api_call": f"f('{name}')", "functionality": name} for name in "abcdef"]
    path.write_text("".join(json.dumps(record) + "\n" for record in [*records, {"functionality": "no call"}]))
    tasks = list(SelfInstruct("all", documents=str(path)))
    assert sorted(task.id for task in tasks) == [f"apis/{number}" for number in range(1, 7)]
    for task in tasks:
        assert json.loads(task.messages[1]["content"]) == task.data["document"]
        assert task.messages[0]["content"].count("For ") == 3
    with pytest.raises(UserError, match="6 documents in split all, not 7"):
        list(SelfInstruct("all", n=7, documents=str(path)))


def test_the_splits_share_no_api():
    calls = {
        split: {task.data["document"]["api_call"] for task in SelfInstruct(split, size=100)}
        for split in ("train", "heldout", "all")
    }
    assert not calls["train"] & calls["heldout"]
    assert calls["train"] | calls["heldout"] == calls["all"]
    assert len(calls["all"]) == 100


def test_a_seed_chooses_the_documents():
    first, again, other = ([task.id for task in SelfInstruct(n=10, seed=seed)] for seed in (0, 0, 1))
    assert first == again != other
