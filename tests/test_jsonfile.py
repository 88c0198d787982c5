import pytest

from agenttrain.errors import UserError
from agenttrain.jsonfile import read_records


def write(folder, text):
    path = folder / "facts.jsonl"
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_and_arrays_read_alike(tmp_path):
    lines = write(tmp_path, '{"title": "A"}\n\n{"title": "B\u2028C"}\n')
    assert read_records(lines, title=str) == [(f"{lines}:1", {"title": "A"}), (f"{lines}:3", {"title": "B\u2028C"})]
    array = write(tmp_path, '[{"title": "A"},\n {"title": "B"}]')
    assert [record["title"] for _, record in read_records(array, title=str)] == ["A", "B"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"title": "A"}\n{"title": \n', "facts.jsonl:2: no valid JSON"),
        ('[{"title": "A"},\n {"title" "B"}]', "facts.jsonl:2: no valid JSON"),
        ('{"title": "A"}\n{"name": "B"}\n', "facts.jsonl:2: 'title' is missing"),
        ('{"title": "A"}\n7\n', "facts.jsonl:2: 'title' is missing"),
        ('[{"title": "A"}, {"title": 7}]', "facts.jsonl, record 2: 'title' is missing or no str"),
        ("\n", "facts.jsonl holds no record"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path, text, place):
    with pytest.raises(UserError, match=place):
        read_records(write(tmp_path, text), title=str)


def test_an_unreadable_file_is_the_users_fault(tmp_path):
    with pytest.raises(UserError, match=r"none.jsonl: No such file"):
        read_records(tmp_path / "none.jsonl", title=str)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        read_records(tmp_path / "bytes", title=str)
