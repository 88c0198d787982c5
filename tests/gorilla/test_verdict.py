"""Every answer gets exactly one verdict, and the three tell what went wrong."""

import random
from pathlib import Path

import pytest

from agenttrain.gorilla.documents import Document, changed, read_documents
from agenttrain.gorilla.verdict import Database

REAL = Path(__file__).parent.parent.parent.parent / "shared/data/gorilla/api"


def document(call, domain="vision"):
    return Document(call, {"api_call": call, "domain": domain})


GOLD = document("hub.load('o/r', model='bird', pretrained=True)")
SAME_DOMAIN = document("hub.load('o/r', model='boat', pretrained=True)")
OTHER_DOMAIN = document("hub.load('o/r', model='song', pretrained=True)", "audio")
DATABASE = Database([GOLD, SAME_DOMAIN, OTHER_DOMAIN])


@pytest.mark.parametrize(
    ("answer", "strict", "legacy"),
    [
        ("hub.load('o/r', model='bird', pretrained=True)", "accuracy", "accuracy"),
        ("<<<api_call>>>: hub.load('o/r', 'bird', pretrained=True)", "accuracy", "accuracy"),
        ("hub.load('o/r', model='bird', pretrained=False)", "error", "accuracy"),
        ("hub.load('o/r', model='bird', pretrained=True, fast=True)", "error", "accuracy"),
        ("hub.load('o/r', model='boat', pretrained=True)", "error", "accuracy"),
        ("hub.load('o/r', model='song', pretrained=True)", "error", "error"),
        ("hub.load('o/r', model='birds', pretrained=True)", "hallucination", "accuracy"),
        ("hub.load('o/r', model='cat', pretrained=True)", "hallucination", "hallucination"),
        ("hub.get('o/r', model='bird', pretrained=True)", "hallucination", "hallucination"),
        ("I would look for a bird model.", "error", "hallucination"),
        ("", "error", "hallucination"),
    ],
)
def test_an_answer_is_right_invented_or_wrong(answer, strict, legacy):
    assert DATABASE.judge(answer, GOLD) == strict
    assert DATABASE.judge_legacy(answer, GOLD) == legacy


def test_after_a_release_the_old_call_is_an_error_and_the_new_one_is_right():
    new = changed(GOLD, random.Random(0))
    assert DATABASE.judge(new.call, new) == "accuracy"
    assert DATABASE.judge(GOLD.call, new) == "error"


def test_one_without_strings_is_known_by_its_callee():
    forest = document("RandomForest(max_depth=10)", "tables")
    database = Database([GOLD, forest])
    assert database.judge("RandomForest(max_depth=20)", GOLD) == "error"
    assert database.judge("DeepForest(max_depth=20)", GOLD) == "hallucination"
    assert Database([document("RandomForest()")]).judge_legacy("RandomForest()", GOLD) == "hallucination"


@pytest.mark.skipif(not REAL.is_dir(), reason="APIBench is not at ../shared/data/gorilla")
@pytest.mark.parametrize("name", ["torchhub", "tensorflowhub", "huggingface"])
def test_each_call_of_apibench_is_right_for_its_own_document_and_no_renamed_one_is(name):
    documents, _ = read_documents(str(REAL / f"{name}_api.jsonl"))
    database = Database(documents)
    nameless = {one.api.callee for one in documents if not any(one.api.strings)}
    for one in documents[::7]:
        assert database.judge(one.call, one) == "accuracy"
        assert database.judge(f"<<<api_call>>>: {one.call}, <<<api_provider>>>: x", one) == "accuracy"
        new = changed(one, random.Random(0))
        known = new is one or new.api.callee in nameless
        assert known or database.judge(new.call, one) == "hallucination"
