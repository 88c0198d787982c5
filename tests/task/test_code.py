import gzip
import json

import pytest

from agenttrain.errors import UserError
from agenttrain.task.code import Code
from agenttrain.types import Tasks
from agenttrain.worlds import list_steps
from agenttrain.worlds.list_steps import UNSEEN

MBPP = [
    {
        "task_id": number,
        "text": "Add two numbers.",
        "code": "import math\r\ndef helper(): pass\r\ndef add(a, b):\r\n    return a + b",
        "test_list": ["assert add(1, 2) == 3", "assert math.isclose(add(1, 0.5), 1.5)"],
        "test_setup_code": "import math",
    }
    for number in (1, 11, 510, 601, 974)
]
HUMANEVAL = [
    {
        "task_id": f"HumanEval/{number}",
        "prompt": f'def f{number}(x):\n    """Twice x."""\n',
        "entry_point": f"f{number}",
        "canonical_solution": "    return 2 * x\n",
        "test": "def check(candidate):\n    assert candidate(2) == 4\n",
    }
    for number in range(20)
]
GSM8K = [{"question": f"How many are {n} and 1?", "answer": f"It is <<{n}+1>>.\n#### 1,00{n}"} for n in range(9)]


def steps(task):
    return [step.rstrip("0123456789") for step in task.id.partition("/")[2].split("-")]


def test_equal_settings_give_equal_tasks_and_ids_are_unique():
    tasks = Code(n=50)
    assert isinstance(tasks, Tasks)
    assert list(tasks) == list(tasks) == list(Code(n=50))
    assert [task.id for task in tasks] != [task.id for task in Code(n=50, seed=1)]
    assert len({task.id for task in tasks}) == 50


def test_splits_share_no_chain_and_unseen_steps_are_in_no_other():
    chains = {split: {tuple(steps(task)) for task in Code(split, n=60)} for split in ("train", "heldout", "unseen")}
    assert not chains["train"] & chains["heldout"]
    assert not any(set(chain) & set(UNSEEN) for chain in chains["train"] | chains["heldout"])
    assert all(set(chain) & set(UNSEEN) for chain in chains["unseen"])


def test_no_test_and_no_result_but_the_example_is_in_the_messages():
    for task in Code(n=30):
        text = json.dumps(task.messages)
        assert not task.data
        assert len(task.answer["calls"]) == 6
        assert not any(str(call["arguments"][0]) in text for call in task.answer["calls"] if call["arguments"][0])


def test_a_program_that_does_nothing_or_returns_one_value_passes_no_task():
    for task in Code(n=100):
        calls = task.answer["calls"]
        assert any(call["expected"] != call["arguments"][0] for call in calls)
        assert len({str(call["expected"]) for call in calls}) > 2


def write(path, records):
    path.write_text("\n".join(map(json.dumps, records)))
    return str(path)


def test_mbpp_has_its_own_split_and_shows_one_test(tmp_path):
    path = write(tmp_path / "mbpp.jsonl", MBPP)
    assert [sorted(task.id for task in Code(split, problems=path)) for split in ("train", "heldout")] == [
        ["mbpp/601", "mbpp/974"],
        ["mbpp/11", "mbpp/510"],
    ]
    task = next(iter(Code("all", problems=path)))
    assert task.answer == {
        "functions": ["add"],
        "setup": "import math",
        "sources": MBPP[0]["test_list"],
    }
    assert task.messages[1]["content"] == "Add two numbers.\nA test: assert add(1, 2) == 3"


def test_humaneval_may_be_packed_and_its_tests_are_not_shown(tmp_path):
    packed = tmp_path / "HumanEval.jsonl.gz"
    packed.write_bytes(gzip.compress("\n".join(map(json.dumps, HUMANEVAL)).encode()))
    train, heldout = ({t.id for t in Code(split, problems=str(packed))} for split in ("train", "heldout"))
    assert not train & heldout
    assert train | heldout == {f"HumanEval/{number}" for number in range(20)}
    task = next(task for task in Code("all", problems=str(packed)) if task.id == "HumanEval/7")
    assert task.answer["functions"] == ["f7"]
    assert task.answer["sources"] == ["check(f7)"]
    assert "Twice x." in task.messages[1]["content"]
    assert "== 4" not in json.dumps(task.messages)


def test_gsm8k_asks_for_a_number(tmp_path):
    tasks = list(Code("all", problems=write(tmp_path / "gsm8k.jsonl", GSM8K)))
    assert sorted(task.answer["calls"][0]["expected"] for task in tasks) == list(range(1000, 1009))
    assert not any("####" in json.dumps(task.messages) for task in tasks)


@pytest.mark.parametrize(
    ("records", "settings", "word"),
    [
        ([{"a": 1}], {}, "MBPP"),
        ([HUMANEVAL[0], {"prompt": "x"}], {}, ":2: not the form"),
        (GSM8K, {"n": 99}, "smaller n"),
        (GSM8K, {"split": "unseen"}, "no split 'unseen'"),
        ([{"question": "?", "answer": "none"}], {}, ":1: not the form"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_place(records, settings, word, tmp_path):
    with pytest.raises(UserError, match=word):
        list(Code(**{"split": "all"} | settings, problems=write(tmp_path / "file.jsonl", records)))


def test_more_tasks_than_there_are_are_refused(monkeypatch):
    monkeypatch.setattr(list_steps, "draw", lambda rng, unseen: [("square", 1), ("sum", 1)])
    with pytest.raises(UserError, match="has about 1 tasks"):
        list(Code(split="all", n=2))
