"""The leaderboard's files as tasks; a file that does not fit says so."""

import json

import pytest

from agenttrain.errors import UserError
from agenttrain.task.bfcl import Bfcl

FUNCTION = {"name": "a.b", "parameters": {"type": "dict", "properties": {}, "required": []}}


def files(folder, name="simple", count=3, answers=True, called="a.b", turns=1):
    questions = [
        {"id": f"{name}_{n}", "question": [[{"role": "user", "content": f"{n}?"}]] * turns, "function": [FUNCTION]}
        for n in range(count)
    ]
    path = folder / f"BFCL_{name}.json"
    path.write_text("\n".join(map(json.dumps, questions)))
    if answers:
        (folder / "possible_answer").mkdir()
        gold = [{"id": f"{name}_{n}", "ground_truth": [{called: {}}]} for n in range(count)]
        (folder / "possible_answer" / path.name).write_text("\n".join(map(json.dumps, gold)))
    return str(path)


def test_a_question_has_its_functions_and_the_answer_of_its_id(tmp_path):
    first, *_ = tasks = list(Bfcl(files(tmp_path)))
    assert [task.id for task in tasks] == ["simple_0", "simple_1", "simple_2"]
    assert first.messages == [{"role": "user", "content": "0?"}]
    assert (first.answer, first.data) == ([{"a.b": {}}], {"functions": [FUNCTION]})


def test_no_call_is_right_where_nothing_is_relevant(tmp_path):
    assert [task.answer for task in Bfcl(files(tmp_path, "irrelevance", answers=False))] == [[], [], []]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"answers": False}, "possible_answer"),
        ({"called": "b.c"}, "calls b.c, which is none"),
        ({"turns": 2}, "of 2 turns"),
    ],
)
def test_a_file_that_does_not_fit_is_an_error(tmp_path, settings, told):
    with pytest.raises(UserError, match=told):
        list(Bfcl(files(tmp_path, **settings)))


def test_a_seed_chooses_and_too_many_are_an_error(tmp_path):
    path = files(tmp_path, count=30)
    first, again, other = ([task.id for task in Bfcl(path, n=10, seed=seed)] for seed in (0, 0, 1))
    assert first == again != other
    with pytest.raises(UserError, match="30 tasks, not 31"):
        list(Bfcl(path, n=31))
