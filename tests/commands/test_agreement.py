"""`agenttrain agreement`: two people's files of answers, compared question by question."""

import json

import pytest
from typer.testing import CliRunner

from agenttrain import cli
from agenttrain.labels import Labels, Question
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def episode(task, attempt):
    turns = [Turn(Action({"role": "assistant", "content": "well"}), Observation([])) for _ in range(2)]
    return Trajectory(Task(f"t{task}", []), turns, "done", attempt=attempt)


def answered(file, answers):
    labels = Labels(file)
    for question, answer in answers:
        labels.write(question, answer)
    return str(file)


def pair(task, turned=False):
    shown = episode(task, 0), episode(task, 1)
    return Question("pairs", shown[::-1] if turned else shown)


def agreement(*words):
    return CliRunner().invoke(cli.app, ["agreement", *words])


def figures(*words):
    done = agreement(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def compared(tmp_path):
    """Anna and Ben compare ten pairs, which Ben sees the other way round: eight alike, one tie of Ben, one opposite."""
    anna = answered(tmp_path / "anna.jsonl", [(pair(n), "first" if n % 2 else "second") for n in range(10)])
    mirrored = {n: "second" if n % 2 else "first" for n in range(10)} | {8: "equal", 9: "first"}
    return anna, answered(tmp_path / "ben.jsonl", [(pair(n, turned=True), mirrored[n]) for n in range(10)])


def test_a_comparison_is_the_same_whoever_stood_first(compared):
    (found,) = figures(*compared)
    assert (found["ask"], found["questions"], found["tasks"]) == ("pairs", 10, 10)
    assert found["same"]["value"] == 0.8
    assert 0.4 < found["same"]["low"] < 0.8 < found["same"]["high"] < 1
    # Chance in both orders: 0.5 * 0.45 + 0.5 * 0.45, since Anna never ties and Ben does once in ten.
    assert found["kappa"] == pytest.approx((0.8 - 0.45) / (1 - 0.45))
    assert found["rank_correlation"] is None


def test_what_one_alone_answered_or_skipped_is_counted_and_not_compared(compared, tmp_path):
    anna, ben = compared
    answered(tmp_path / "anna.jsonl", [(pair(20), "first"), (pair(0), "skip")])
    answered(tmp_path / "ben.jsonl", [(pair(n), "first") for n in (30, 31, 32)])
    (found,) = figures(anna, ben)
    assert (found["questions"], found["first_alone"], found["second_alone"]) == (9, 1, 4)


def test_each_kind_of_question_has_its_measure(tmp_path):
    def file(name, marks, turns):
        asked = [(Question("ratings", (episode(n, 0),)), mark) for n, mark in enumerate(marks)]
        asked += [(Question("turns", (episode(n, 0),), 1), mark) for n, mark in enumerate(turns)]
        return answered(tmp_path / name, asked)

    anna = file("anna.jsonl", [1, 2, 3], ["good", "bad", "neutral", "bad"])
    ben = file("ben.jsonl", [3, 4, 5], ["good", "bad", "neutral", "good"])
    ratings, turns = figures(anna, ben)
    assert (ratings["ask"], ratings["same"]["value"]) == ("ratings", 0.0)
    assert ratings["rank_correlation"] == pytest.approx(1)
    # Squares: 4 each; by chance of {1, 2, 3} and {3, 4, 5}: (4 + 9 + 16 + 1 + 4 + 9 + 0 + 1 + 4) / 9 = 16/3.
    assert ratings["kappa"] == pytest.approx(0.25)
    assert (turns["ask"], turns["same"]["value"]) == ("turns", 0.75)
    assert turns["kappa"] == pytest.approx((0.75 - 5 / 16) / (1 - 5 / 16))


def test_every_two_of_three_people_have_a_line(compared, tmp_path):
    third = answered(tmp_path / "cem.jsonl", [(pair(n), "first") for n in range(4)])
    shown = agreement(*compared, third)
    assert shown.exit_code == 0, shown.output
    lines = [line for line in shown.output.splitlines() if line.startswith(str(tmp_path))]
    assert len(lines) == 3
    assert "80.0 % (" in lines[0]
    assert "0.64" in lines[0]
    assert lines[1].endswith("6 / 0")


def test_what_cannot_be_compared_is_told(compared, tmp_path):
    anna, _ = compared
    for words, message in (
        ([anna], "two people"),
        ([anna, anna], "two people"),
        ([anna, str(tmp_path / "nobody.jsonl")], "nobody.jsonl holds no answer"),
        ([anna, answered(tmp_path / "other.jsonl", [(pair(77), "first")])], "no question in common"),
        ([anna, answered(tmp_path / "skips.jsonl", [(pair(1), "skip")])], "skips.jsonl holds no answer"),
    ):
        refused = agreement(*words)
        assert refused.exit_code == 2
        assert message in refused.output
