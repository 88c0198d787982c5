"""Documents of APIs: what is read, what is dropped and why, how an API is renamed."""

import json
import random
from pathlib import Path

import pytest

from agenttrain.errors import UserError
from agenttrain.gorilla.documents import Document, changed, of_split, read_documents
from agenttrain.gorilla.invented import invented

REAL = Path(__file__).parent.parent.parent.parent / "shared/data/gorilla/api"


def write(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def test_a_record_without_a_call_is_dropped_and_counted(tmp_path):
    path = write(
        tmp_path / "apis.jsonl",
        {"api_call": "f('a')"},
        {"api_call": " "},
        {"domain": "x"},
        {"api_call": "./run.sh --fast"},
    )
    documents, dropped = read_documents(path)
    assert [(document.id, document.call) for document in documents] == [("apis/1", "f('a')")]
    assert dropped == {"no API call": 2, "the API call is no call in Python": 1}


def test_a_folder_is_read_file_by_file(tmp_path):
    write(tmp_path / "b.jsonl", {"api_call": "f('b')"})
    write(tmp_path / "a.json", {"api_call": "f('a')"})
    (tmp_path / "notes.txt").write_text("no records")
    assert [document.id for document in read_documents(str(tmp_path))[0]] == ["a/1", "b/1"]


@pytest.mark.parametrize(
    ("files", "told"), [({}, "no .json or .jsonl file"), ({"a.jsonl": '{"x": 1}'}, "no API call: 1")]
)
def test_a_folder_without_a_document_is_an_error(tmp_path, files, told):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=told):
        read_documents(str(tmp_path))


def test_invented_apis_are_the_same_for_equal_seeds_and_each_is_called_otherwise():
    first, again, other = ([one.call for one in invented(world, 300)] for world in (0, 0, 1))
    assert first == again != other
    assert len(set(first)) == 300
    with pytest.raises(UserError, match="No more than"):
        next(invented(0, 10_000))


def test_a_fifth_of_the_apis_is_held_out_and_the_splits_share_none():
    documents = list(invented(0, 300))
    train, heldout = of_split(documents, "train"), of_split(documents, "heldout")
    assert len(train) + len(heldout) == len(of_split(documents, "all")) == 300
    assert 30 < len(heldout) < 90
    others = [Document(f"another {one.id}", {"api_call": one.call}) for one in heldout]
    assert of_split(others, "heldout") == others, "an API of two documents is in one split"


def test_an_api_is_renamed_wherever_its_document_tells_its_name():
    record = {"api_name": "m/old", "api_call": "hub.load(repo='o/r', model='m/old')", "example": ['x = g("m/old")']}
    document = Document("1", record)
    new = changed(document, random.Random(0))
    assert new.call.startswith("hub.load(repo='o/r', model='m/")
    assert "old" not in json.dumps(new.record)
    assert new.api.strings[1] in new.record["api_name"]
    assert new.call != changed(document, random.Random(1)).call
    assert document.record is record
    assert "old" in record["example"][0]


def test_a_call_without_a_string_cannot_be_renamed():
    document = Document("1", {"api_call": "RandomForest(max_depth=10)"})
    assert changed(document, random.Random(0)) is document


@pytest.mark.skipif(not REAL.is_dir(), reason="APIBench is not at ../shared/data/gorilla")
def test_apibench_is_read_whole_but_for_nine_records_that_hold_no_call_in_python():
    counts = {}
    for name in ("torchhub", "tensorflowhub", "huggingface"):
        documents, dropped = read_documents(str(REAL / f"{name}_api.jsonl"))
        counts[name] = (len(documents), dict(dropped))
        renamed = [changed(document, random.Random(0)) for document in documents]
        unchanged = [new.call for document, new in zip(documents, renamed, strict=True) if new.api.same(document.api)]
        assert all(not next(iter(Document("", {"api_call": call}).api.strings), "") for call in unchanged)
    assert counts["torchhub"] == (94, {})
    assert counts["tensorflowhub"] == (696, {})
    assert counts["huggingface"] == (927, {"the API call is no call in Python": 9})
