import json
import re

import pytest

from agenttrain.errors import UserError
from agenttrain.task.search import Search
from agenttrain.worlds.library import Library

LIBRARY = Library(0, 10_000)


def subjects(**settings):
    return {task.data["gold"][0] for task in Search(**settings)}


def test_equal_seeds_give_equal_tasks_and_others_others():
    assert list(Search(n=20)) == list(Search(n=20))
    assert {task.id for task in Search(n=20)}.isdisjoint(task.id for task in Search(n=20, seed=1))
    assert len({task.id for task in Search()}) == 200


def test_train_and_heldout_ask_about_other_things_for_every_seed():
    assert subjects(n=2000).isdisjoint(subjects(split="heldout", n=600, seed=7))


def test_unseen_compares_and_the_others_do_not():
    assert all("the older of" in task.messages[-1]["content"] for task in Search(split="unseen"))
    for split in ("train", "heldout"):
        assert not any("older" in task.messages[-1]["content"] for task in Search(split=split))
    everything = [task.messages[-1]["content"] for task in Search(split="all")]
    assert 30 < sum("older" in text for text in everything) < 100


@pytest.mark.parametrize("split", ["train", "unseen"])
def test_the_answer_stands_in_the_last_passage_only(split):
    entries = {LIBRARY.title(number): LIBRARY.entry(number) for number in range(LIBRARY.entries)}
    for task in Search(split=split):
        first, second = (entries[title] for title in task.data["gold"])
        question = task.messages[-1]["content"]
        assert task.answer not in question
        holds, other = (first, second) if split == "unseen" else (second, first)
        assert task.answer in holds.text
        assert task.answer not in other.text
        asked = re.match(r"What is the (\w+) of", question)[1]
        assert holds.facts[asked] == task.answer
        if split == "unseen":
            assert int(first.facts["year"]) < int(second.facts["year"])


def test_questions_come_from_a_file_too(tmp_path):
    path = tmp_path / "dev.jsonl"
    records = [
        {"_id": f"q{n}", "question": f"Who is {n}?", "answer": str(n), "type": "comparison" if n % 3 == 0 else "bridge"}
        for n in range(60)
    ]
    path.write_text("\n".join(map(json.dumps, records)))
    ids = {split: [task.id for task in Search(split=split, questions=str(path))] for split in ("train", "heldout")}
    unseen = [task.id for task in Search(split="unseen", questions=str(path))]
    assert sorted(unseen) == sorted(f"dev/q{n}" for n in range(0, 60, 3))
    assert len({*ids["train"], *ids["heldout"], *unseen}) == 60
    assert all(ids.values())
    assert len(list(Search(split="all", questions=str(path)))) == 60
    assert len(list(Search(split="all", questions=str(path), n=5))) == 5
    with pytest.raises(UserError, match="has 60 questions in split all, not 61"):
        list(Search(split="all", questions=str(path), n=61))


def test_settings_that_cannot_be_met_are_refused():
    with pytest.raises(UserError, match="No split 'deep'"):
        Search(split="deep")
    with pytest.raises(UserError, match="40 to 100000"):
        Search(entries=39)
    with pytest.raises(UserError, match=r"Raise task\.entries"):
        list(Search(split="heldout", entries=40, n=100))
