"""Requests become examples: the call is the answer, with the documents that the settings say beside the request."""

import json
from pathlib import Path

import pytest

from agenttrain.data.gorilla import Gorilla
from agenttrain.errors import UserError
from agenttrain.gorilla.rat import REFERENCE, Rat

REAL = Path(__file__).parent.parent.parent.parent / "shared/data/gorilla"


@pytest.fixture
def path(tmp_path):
    words = ("bird", "boat", "song", "tooth", "cloud")
    records = [
        {
            "code": f"###Instruction: I need a {word} of kind {number}.\n###Output: x",
            "api_data": {"api_call": f"f('{word}-{word}')", "functionality": word},
        }
        for word in words
        for number in range(20)
    ]
    records.append({"code": "x", "api_data": {}})
    file = tmp_path / "pairs.json"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(file)


def test_the_call_alone_trains_and_what_is_no_pair_is_counted(path):
    data = Gorilla(path, rat=Rat(document="none"))
    examples = list(data)
    assert len(examples) == 100
    assert data.report.dropped == {"no API call": 1}
    for example in examples:
        assert [message["role"] for message in example.messages] == ["system", "user", "assistant"]
        assert example.messages[2]["train"] is True
        assert example.messages[2]["content"].startswith("f('")
        assert REFERENCE not in example.messages[1]["content"]


def test_wrong_documents_come_from_the_pairs_or_from_a_file(path, tmp_path):
    apis = tmp_path / "apis.jsonl"
    apis.write_text(json.dumps({"api_call": "g('other')", "functionality": "bird boat song tooth cloud"}))
    wrong = Rat(document="mix", none=0.0, distractors=1.0)
    for example in Gorilla(path, rat=wrong, documents=str(apis)):
        assert "g('other')" in example.messages[1]["content"]
        assert "g('other')" not in example.messages[2]["content"]
    for example in Gorilla(path, rat=wrong):
        assert example.messages[2]["content"] not in example.messages[1]["content"]


def test_half_of_the_documents_tell_of_a_renamed_api_and_the_answer_follows_them(path):
    examples = list(Gorilla(path, rat=Rat(document="oracle", doc_perturb=0.5)))
    renamed = [example for example in examples if "-" not in example.messages[2]["content"]]
    assert 30 < len(renamed) < 70
    for example in examples:
        assert json.dumps(example.messages[2]["content"])[1:-1] in example.messages[1]["content"]


def test_a_file_of_refusals_is_an_error_that_tells_why(tmp_path):
    file = tmp_path / "pairs.json"
    file.write_text(json.dumps({"code": "no request", "api_data": {"api_call": "f('a')"}}))
    with pytest.raises(UserError, match="no request: 1"):
        list(Gorilla(str(file)))


@pytest.mark.skipif(not REAL.is_dir(), reason="APIBench is not at ../shared/data/gorilla")
def test_apibench_becomes_examples_whole():
    data = Gorilla(
        str(REAL / "apibench/torchhub_train.json"),
        rat=Rat(document="bm25"),
        documents=str(REAL / "api/torchhub_api.jsonl"),
        duplicates=True,
    )
    examples = list(data)
    assert len(examples) == 837
    shown = sum(json.dumps(e.messages[2]["content"])[1:-1] in e.messages[1]["content"] for e in examples)
    assert 50 < shown < 400, "BM25 finds the right document for some requests, and for few: many APIs do the same"
