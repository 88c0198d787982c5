import json

import pytest

from agenttrain.errors import UserError
from agenttrain.task.hopqa import Hopqa
from agenttrain.types import Tasks


def ids(**settings):
    return [task.id for task in Hopqa(**settings)]


def subjects(**settings):
    return {task.data["gold"][0] for task in Hopqa(**settings)}


def test_equal_settings_give_equal_tasks():
    tasks = Hopqa(n=30, one_hop=0.5)
    assert isinstance(tasks, Tasks)
    assert list(tasks) == list(tasks) == list(Hopqa(n=30, one_hop=0.5))
    assert ids(n=30, seed=1) != ids(n=30, seed=2)


def test_splits_share_no_question_and_nothing_asked_about():
    train = subjects(split="train") | subjects(split="train", one_hop=1.0)
    held = subjects(split="heldout") | subjects(split="heldout", one_hop=1.0) | subjects(split="deep")
    assert not train & held
    assert len(train) > 3 * len(held) > 300
    assert not set(ids(split="deep")) & set(ids(split="heldout"))
    assert sorted(ids(split="all")) == sorted(ids(split="train") + ids(split="heldout"))


def test_ids_are_unique():
    names = ids(one_hop=0.5) + ids(split="heldout", one_hop=0.5) + ids(split="deep") + ids(world=1)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("n", [40, None])
def test_one_hop_is_the_share_of_easy_questions(n):
    hops = [task.data["hops"] for task in Hopqa(n=n, one_hop=0.25)]
    assert hops.count(1) / len(hops) == pytest.approx(0.25, abs=0.001)
    assert set(hops) == {1, 2}
    assert len(hops) == n or len(hops) > 1000
    assert {task.data["hops"] for task in Hopqa(split="deep", n=20)} == {3}


def test_the_answer_is_in_no_message():
    for task in Hopqa(split="all", one_hop=0.5):
        assert not any(task.answer in message["content"] for message in task.messages)


def test_questions_come_from_a_file_too(tmp_path):
    path = tmp_path / "dev.json"
    facts = [["Ed Wood", 0], ["Ed Wood", 1], ["Tim", 0]]
    records = [
        {"question": f"Who is {n}?", "answer": str(n), "_id": f"q{n}", "supporting_facts": facts} for n in range(50)
    ]
    path.write_text(json.dumps(records))
    tasks = list(Hopqa(split="all", questions=str(path)))
    assert {task.id for task in tasks} == {f"dev/q{n}" for n in range(50)}
    assert all(task.id == f"dev/q{task.answer}" and task.data == {"gold": ["Ed Wood", "Tim"]} for task in tasks)
    train, held = ids(questions=str(path)), ids(split="heldout", questions=str(path))
    assert sorted(train + held) == sorted(task.id for task in tasks)
    assert train
    assert held
    path.write_text(
        '{"question": "Who?", "answer": "A", "supporting_facts": {"title": ["X"]}}\n{"question": "?", "answer": "B"}'
    )
    assert {task.id: task.data for task in Hopqa(split="all", questions=str(path))} == {
        "dev/1": {"gold": ["X"]},
        "dev/2": {},
    }


@pytest.mark.parametrize(
    ("second", "fault"),
    [
        ({"question": "B?"}, "dev.jsonl:2: 'answer' is missing"),
        ({"question": "B?", "answer": "b", "id": "a"}, "dev.jsonl:2: the id 'a' has been used before"),
        ({"question": "B?", "answer": "b", "supporting_facts": [1]}, "dev.jsonl:2: 'supporting_facts' is no list"),
    ],
)
def test_a_malformed_question_is_named_with_its_line(tmp_path, second, fault):
    path = tmp_path / "dev.jsonl"
    path.write_text("\n".join(map(json.dumps, [{"question": "A?", "answer": "a", "id": "a"}, second])))
    with pytest.raises(UserError, match=fault):
        list(Hopqa(split="all", questions=str(path)))


def test_settings_that_cannot_be_met_are_refused(tmp_path):
    with pytest.raises(UserError, match="No split 'test'"):
        Hopqa(split="test")
    with pytest.raises(UserError, match="no split 'deep'"):
        Hopqa(split="deep", questions="dev.json")
    with pytest.raises(UserError, match="one_hop=2 is no share"):
        Hopqa(one_hop=2)
    with pytest.raises(UserError, match=r"in split heldout, not 9999\. Take a smaller n or a larger size"):
        list(Hopqa(split="heldout", n=9999))
    with pytest.raises(UserError, match="No such file"):
        list(Hopqa(questions=str(tmp_path / "none.json")))


def test_claims_are_right_or_wrong_about_their_own_answers_and_leave_the_rest_as_it_was():
    plain, mixed = ({task.id: task for task in Hopqa(n=200, size=60, seed=2, yes_no=share)} for share in (0.0, 0.5))
    claims = [task for task in mixed.values() if task.id.endswith("/claim")]
    assert len(claims) == 100
    assert all(plain[task.id] == task for task in mixed.values() if task not in claims)
    assert 35 <= sum(task.answer == "yes" for task in claims) <= 65
    for task in claims:
        asked = plain[task.id.removesuffix("/claim")]
        said = task.messages[-1]["content"].removesuffix("?")
        assert said.endswith(f" is {asked.answer}") is (task.answer == "yes")


def test_a_file_of_questions_makes_no_claims(tmp_path):
    with pytest.raises(UserError, match=r"leave out task\.yes_no"):
        Hopqa(yes_no=0.5, questions=str(tmp_path / "q.jsonl"))
