import pytest

from agenttrain.errors import UserError
from agenttrain.labels import Labels, Question, content
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def episode(task, attempt, said="well", turns=2):
    done = [Turn(Action({"role": "assistant", "content": said}), Observation([])) for _ in range(turns)]
    return Trajectory(Task(task, []), done, "done", attempt=attempt)


A, B, C, OTHER = episode("t", 0), episode("t", 1), episode("t", 2), episode("u", 0)
ALL = [A, B, C, OTHER]


def preferred(labels, most=8):
    return {(pair.chosen.attempt, pair.rejected.attempt) for pair in labels.preferred(ALL, most, seed=0)}


def test_answers_are_read_back_and_a_later_one_wins(tmp_path):
    labels = Labels(tmp_path / "deep/labels.jsonl")
    labels.write(Question("pairs", (A, B)), "first")
    labels.write(Question("pairs", (C, B)), "second")
    labels.write(Question("pairs", (A, C)), "equal")
    assert preferred(labels) == preferred(Labels(labels.path)) == {(0, 1), (1, 2)}
    labels.write(Question("pairs", (B, A)), "first")
    assert preferred(labels) == preferred(Labels(labels.path)) == {(1, 0), (1, 2)}
    assert len(Labels(labels.path).answers) == 3, "the same question, whoever stood first"
    labels.write(Question("pairs", (A, B)), "skip")
    assert preferred(Labels(labels.path)) == {(1, 2)}


def test_marks_make_pairs_within_a_task_unless_a_comparison_says_otherwise(tmp_path):
    labels = Labels(tmp_path / "labels.jsonl")
    for trajectory, mark in ((A, 5), (B, 2), (C, 2), (OTHER, 1)):
        labels.write(Question("ratings", (trajectory,)), mark)
    assert preferred(labels) == {(0, 1), (0, 2)}
    assert len(preferred(labels, most=1)) == 1
    labels.write(Question("pairs", (A, B)), "second")
    labels.write(Question("pairs", (C, A)), "equal")
    assert preferred(labels) == {(1, 0)}


def test_marks_of_turns_are_values(tmp_path):
    labels = Labels(tmp_path / "labels.jsonl")
    labels.write(Question("turns", (A,), 0), "bad")
    labels.write(Question("turns", (A,), 1), "good")
    labels.write(Question("turns", (B,), 1), "skip")
    labels.write(Question("turns", (C,), 1), "neutral")
    assert Labels(labels.path).values(ALL) == {content(A): {0: 0.0, 1: 1.0}, content(C): {1: 0.5}}
    assert labels.values([B]) == {}


def test_a_label_never_stands_for_another_episode(tmp_path):
    labels = Labels(tmp_path / "labels.jsonl")
    labels.write(Question("pairs", (A, B)), "first")
    again = episode("t", 0, said="something else")
    assert labels.preferred([again, B], 8, 0) == []
    assert content(A) == content(episode("t", 0)) != content(again)


def test_a_line_that_a_kill_cut_is_told_and_set_aside_and_the_file_stays_readable(tmp_path, caplog):
    labels = Labels(tmp_path / "labels.jsonl")
    labels.write(Question("ratings", (A,)), 4)
    whole = labels.path.read_text()
    labels.path.write_text(whole + whole[:30])
    again = Labels(labels.path)
    assert "labels.jsonl:2: left out a torn last line" in caplog.text
    again.write(Question("ratings", (B,)), 1)
    assert [line["answer"] for line in Labels(labels.path).answers.values()] == [4, 1]
    assert (tmp_path / "labels.jsonl.torn").read_text() == whole[:30] + "\n"


@pytest.mark.parametrize("line", ['{"a": 1}', '{"ask": "turns", "shown": ["x"], "turn": 0, "answer": "god"}'])
def test_another_file_or_answer_is_told(tmp_path, line):
    (tmp_path / "x.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match=r"x\.jsonl:1 is no answer of"):
        Labels(tmp_path / "x.jsonl")


def test_a_line_without_its_answer_is_told(tmp_path):
    labels = Labels(tmp_path / "labels.jsonl")
    labels.write(Question("ratings", (A,)), 4)
    labels.path.write_text(labels.path.read_text().replace('"answer"', '"anser"'))
    with pytest.raises(UserError, match=r"labels\.jsonl:1 is no answer of"):
        Labels(labels.path)
