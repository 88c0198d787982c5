"""The paper's choice among solved episodes, each reason counted."""

import pytest

from agenttrain import store
from agenttrain.data.codeact import Codeact
from agenttrain.errors import UserError
from agenttrain.types import Action, Observation, Task, Trajectory, Turn

RAN, FAILED = {"status": "ok"}, {"status": "error", "tool_error": "NameError"}
MALFORMED, WRONG, RIGHT = {"invalid_call": "?"}, {"solutions": 1}, {"solutions": 1, "success": True}
EPISODES = {
    "kept": [RAN, RIGHT],
    "corrected": [FAILED, RAN, RIGHT],
    "answer corrected": [RAN, WRONG, RIGHT],
    "failed": [RAN, WRONG, {"solutions": 2, "success": False}],
    "answered at once": [RIGHT],
    "no action in form": [MALFORMED, MALFORMED, RIGHT],
    "no run without error": [FAILED, WRONG, RIGHT],
    "another of these": [MALFORMED, FAILED, RIGHT],
}


@pytest.fixture
def path(tmp_path):
    for name, facts in EPISODES.items():
        opening = [{"role": "user", "content": name}]
        turns = [
            Turn(Action({"role": "assistant", "content": f"{number}"}), Observation([], feedback=fact))
            for number, fact in enumerate(facts)
        ]
        store.append(tmp_path / "t.jsonl", Trajectory(Task(name, opening), turns, "done", opening))
    return str(tmp_path / "t.jsonl")


def test_each_episode_is_kept_or_counted_by_its_reason(path):
    data = Codeact(path)
    assert [example.id for example in data] == ["kept#0", "corrected#0", "answer corrected#0"]
    assert (data.report.records, data.report.kept) == (8, 3)
    assert data.report.dropped == {
        "failed": 1,
        "answered at once": 1,
        "no action in form": 1,
        "no run without error": 2,
    }


def test_only_those_with_an_error_that_was_corrected(path):
    data = Codeact(path, corrected=True)
    assert [example.id for example in data] == ["corrected#0", "answer corrected#0"]
    assert data.report.dropped["no error to correct"] == 1


def test_faulty_turns_train_too_unless_said_otherwise(path):
    assert [message["train"] for message in list(Codeact(path))[1].messages[1:]] == [True, True, True]
    skipping = list(Codeact(path, skip=["tool_error"]))[1]
    assert [message["train"] for message in skipping.messages[1:]] == [False, True, True]


def test_nothing_left_is_told_with_the_reasons(tmp_path):
    opening = [{"role": "user", "content": "?"}]
    turn = Turn(Action({"role": "assistant", "content": "!"}), Observation([], feedback=RIGHT))
    store.append(tmp_path / "t.jsonl", Trajectory(Task("t", opening), [turn], "done", opening))
    with pytest.raises(UserError, match="answered at once: 1"):
        list(Codeact(str(tmp_path / "t.jsonl")))
