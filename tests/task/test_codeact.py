import json

import pytest

from agenttrain.errors import UserError
from agenttrain.task.codeact import Codeact
from agenttrain.types import Tasks
from agenttrain.worlds import warehouse


def test_equal_settings_give_equal_tasks_and_splits_share_no_question():
    tasks = Codeact(n=50)
    assert isinstance(tasks, Tasks)
    assert list(tasks) == list(tasks) == list(Codeact(n=50))
    assert [task.id for task in tasks] != [task.id for task in Codeact(n=50, seed=1)]
    asked = [{task.messages[0]["content"] for task in Codeact(split, n=200)} for split in ("train", "heldout")]
    assert len(asked[0]) == len(asked[1]) == 200
    assert not asked[0] & asked[1]


def test_the_answer_is_what_the_tools_say():
    for task in Codeact(n=20):
        names = {}
        exec(task.data["tools"], names)
        question = warehouse.read(task.messages[0]["content"])
        result = 0
        for item in question.items:
            result = names[warehouse.FOLDS[question.fold]](result, names[question.measure](item))
        assert str(result) == task.answer
        assert 2 <= len(question.items) <= 4


def test_a_file_of_questions_keeps_answers_and_tools(tmp_path):
    records = [{"question": f"{n} and 1?", "answer": f"It is <<{n}+1>>.\n#### 1,00{n}"} for n in range(9)]
    records.append({"question": "Ada?", "answer": "Byron", "tools": "def f(): pass"})
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, records)))
    tasks = {task.messages[0]["content"]: task for task in Codeact("all", questions=f"{tmp_path}/q.jsonl")}
    assert len(tasks) == 10
    assert (tasks["3 and 1?"].answer, tasks["3 and 1?"].data) == ("1,003", {"tools": ""})
    assert (tasks["Ada?"].answer, tasks["Ada?"].data) == ("Byron", {"tools": "def f(): pass"})
    with pytest.raises(UserError, match="not 11"):
        list(Codeact("all", n=11, questions=f"{tmp_path}/q.jsonl"))


def test_impossible_settings_are_refused():
    with pytest.raises(UserError, match="1 to 12"):
        Codeact(items=[13])
    with pytest.raises(UserError, match="has about"):
        list(Codeact(items=[1], n=1000))
