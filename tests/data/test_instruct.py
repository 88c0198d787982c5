import json
from pathlib import Path

import pytest

from agenttrain.data.instruct import Instruct
from agenttrain.errors import UserError

REAL = Path(__file__).parents[3] / "shared/data/self_instruct"


@pytest.fixture
def write(tmp_path):
    def write(*records) -> str:
        (tmp_path / "i.json").write_text(json.dumps(list(records)))
        return str(tmp_path / "i.json")

    return write


def said(example):
    return [(message["role"], message["content"], message.get("train")) for message in example.messages]


def test_both_forms_are_read(write):
    alpaca = {"instruction": "Add. ", "input": "1 and 2", "output": "3"}
    self_instruct = {
        "id": "s",
        "instruction": "Name one.",
        "instances": [{"input": "", "output": "Ada\n"}, {"input": "a river", "output": "Po"}],
    }
    path = write(alpaca, self_instruct)
    assert [(example.id, said(example)) for example in Instruct(path)] == [
        ("1#0", [("user", "Add.\n\n1 and 2", None), ("assistant", "3", True)]),
        ("s#0", [("user", "Name one.", None), ("assistant", "Ada", True)]),
        ("s#1", [("user", "Name one.\n\na river", None), ("assistant", "Po", True)]),
    ]


def test_an_empty_answer_is_counted_and_does_not_train(write):
    data = Instruct(write({"instruction": "Go.", "output": " "}, {"instruction": "Go.", "output": "Gone."}))
    assert [example.id for example in data] == ["2#0"]
    assert data.report.dropped == {"an empty assistant message": 1}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"instruction": "Go."}, "record 1: 'output' is missing or no text"),
        ({"instruction": "Go.", "output": "x", "input": 3}, "'input' is missing or no text"),
        ({"instruction": "Go.", "instances": {"output": "x"}}, "expected instances as a list"),
        ({"prompt": "Go.", "output": "x"}, "'instruction' is missing"),
    ],
)
def test_another_form_is_told(write, record, message):
    with pytest.raises(UserError, match=message):
        list(Instruct(write(record)))


@pytest.mark.skipif(not REAL.is_dir(), reason="Self-Instruct is not at ../shared/data/self_instruct")
def test_the_published_files_are_read_whole():
    seeds = Instruct(str(REAL / "data/seed_tasks.jsonl"))
    assert len(list(seeds)) == 175
    users = Instruct(str(REAL / "human_eval/user_oriented_instructions.jsonl"))
    assert len(list(users)) == users.report.records == 252
