import pytest

from agenttrain.errors import UserError
from agenttrain.labels import Labels, Question, content
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def episode(task, attempt, said="well", turns=2):
    done = [Turn(Action({"role": "assistant", "content": said}), Observation([])) for _ in range(turns)]
    return Trajectory(Task(task, []), done, "done", attempt=attempt)


A, B, C, OTHER = episode("t", 0), episode("t", 1), episode("t", 2), episode("u", 0)
ALL = [A, B, C, OTHER]


def answers(labels):
    return {(given.shown, given.answer) for given in labels.given("pairs").values()}


def test_answers_are_read_back_and_a_later_one_wins(tmp_path):
    def both(one, other):
        return tuple(sorted((content(one), content(other))))

    def better(one, other):
        return both(one, other), "first" if both(one, other)[0] == content(one) else "second"

    labels = Labels(tmp_path / "deep/labels.jsonl")
    labels.write(Question("pairs", (A, B)), "first")
    labels.write(Question("pairs", (C, B)), "second")
    labels.write(Question("pairs", (A, C)), "equal")
    told = {better(B, C), (both(A, C), "equal")}
    assert answers(labels) == answers(Labels(labels.path)) == {better(A, B)} | told
    labels.write(Question("pairs", (B, A)), "first")
    assert answers(labels) == answers(Labels(labels.path)) == {better(B, A)} | told
    assert len(Labels(labels.path).answers) == 3, "the same question, whoever stood first"
    labels.write(Question("pairs", (A, B)), "skip")
    assert answers(Labels(labels.path)) == told


def test_an_episode_that_was_played_again_is_another(tmp_path):
    assert content(A) == content(episode("t", 0)) != content(episode("t", 0, said="something else"))


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
