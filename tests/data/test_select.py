import json

import pytest

from agenttrain.data.chat import Chat
from agenttrain.errors import UserError


@pytest.fixture
def write(tmp_path):
    def write(*pairs: tuple[str, str], name: str = "c.jsonl") -> str:
        records = [
            {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in pairs
        ]
        (tmp_path / name).write_text("\n".join(map(json.dumps, records)))
        return str(tmp_path / name)

    return write


def answers(data: Chat) -> list[str]:
    return [example.messages[-1]["content"] for example in data]


def test_duplicates_go_across_files_unless_they_are_wanted(write):
    paths = [write(("q", "a"), ("q", "b")), write(("q", "a"), name="d.jsonl")]
    data = Chat(paths)
    assert answers(data) == ["a", "b"]
    assert data.report.dropped == {"duplicate": 1}
    assert answers(Chat(paths, duplicates=True)) == ["a", "b", "a"]


def test_no_task_gives_more_records_than_allowed(write):
    data = Chat(write(("q", "a"), ("q", "b"), ("r", "c"), ("q", "d")), max_per_task=2)
    assert answers(data) == ["a", "b", "c"]
    assert data.report.dropped == {"more than max_per_task": 1}


def test_a_share_is_about_as_large_as_it_says_and_follows_the_seed(write):
    path = write(*((f"q{n}", "a") for n in range(1000)))
    data = Chat(path, share=0.3, seed=1)
    first = [example.id for example in data]
    assert 250 < len(first) < 350
    assert data.report.dropped == {"not in the share": 1000 - len(first)}
    assert [example.id for example in data] == first
    assert [example.id for example in Chat(path, share=0.3, seed=2)] != first


def test_each_iteration_counts_anew(write):
    data = Chat(write(("q", "a"), ("r", "b")))
    list(data)
    list(data)
    assert (data.report.records, data.report.kept) == (2, 2)


def test_nothing_left_is_a_fault_that_says_why(write):
    with pytest.raises(UserError, match=r"no record is left to train on \(outcome unknown: 1\)"):
        list(Chat(write(("q", "a")), success=True))


@pytest.mark.parametrize("options", [{"turns": 0}, {"share": 0.0}, {"share": 1.5}, {"max_per_task": 0}])
def test_impossible_settings_are_refused_before_anything_is_read(options):
    with pytest.raises(UserError, match=f"data.{next(iter(options))}="):
        Chat("nowhere.jsonl", **options)
