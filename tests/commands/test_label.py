"""`agenttrain label`: questions to a person, answered here by lines of input."""

import json
import sys

import pytest
from typer.testing import CliRunner

from agenttrain import cli, store
from agenttrain.commands import label as command
from agenttrain.commands.label import Terminal, questions
from agenttrain.labels import Labels
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def episode(task, attempt, said="yes"):
    call = {"type": "function", "function": {"name": "get", "arguments": {"item": "log"}}}
    turns = [
        Turn(
            Action({"role": "assistant", "content": said, "tool_calls": [call]}),
            Observation([{"role": "tool", "content": f"answer {n}"}], feedback={"success": attempt == 0}),
        )
        for n in range(2)
    ]
    return Trajectory(Task(f"t{task}", []), turns, "done", [{"role": "user", "content": "go"}], attempt=attempt)


@pytest.fixture
def stored(tmp_path):
    for task in range(3):
        for attempt in range(3):
            store.append(tmp_path / "trajectories.jsonl", episode(task, attempt))
    return tmp_path


def label(stored, typed, *words):
    done = CliRunner().invoke(cli.app, ["label", str(stored), *words], input=typed)
    assert done.exit_code == 0, done.output
    return done.output


def answers(stored):
    return [line["answer"] for line in map(json.loads, (stored / "labels.jsonl").read_text().splitlines())]


def test_it_asks_takes_answers_and_goes_on_where_it_was(stored):
    shown = label(stored, "1\nmaybe\n2\nq\n", "--most", "2")
    assert answers(stored) == ["first", "second"]
    assert "'maybe' is no answer" in shown
    assert "1 of 6, task t" in shown
    assert 'get {"item": "log"}' in shown
    assert "2 of 6 answered" in shown
    again = label(stored, "=\ns\n1\n1\n", "--most", "2")
    assert "1 of 6, " not in again
    assert "6 of 6 answered" in again
    assert answers(stored) == ["first", "second", "equal", "skip", "first", "first"]
    assert "which is better" not in label(stored, "", "--most", "2"), "nothing is asked twice"


def test_what_two_began_with_is_shown_once(stored):
    assert label(stored, "q\n").count("user: go") == 1
    other = episode(0, 5)
    other.messages = [{"role": "user", "content": "go, please"}]
    store.append(stored / "two" / "trajectories.jsonl", episode(0, 0))
    store.append(stored / "two" / "trajectories.jsonl", other)
    shown = label(stored / "two", "q\n")
    assert shown.count("user: go") == 2
    assert "user: go, please" in shown


def test_back_changes_the_answer_before(stored):
    label(stored, "1\n2\nb\nb\n2\n1\nq\n")
    known = [record["answer"] for record in Labels(stored / "labels.jsonl").answers.values()]
    assert known == ["second", "second", "first"], "the first changed, the second kept, then on with the third"


def test_the_end_of_the_input_loses_nothing(stored):
    assert "1 of 9 answered" in label(stored, "5", "--ask", "ratings")
    assert answers(stored) == [5]


def test_turns_are_asked_in_order_and_shown_as_far_as_they_go(stored):
    shown = label(stored, "+\n-\n0\nq\n", "--ask", "turns", "--most", "1")
    assert answers(stored) == ["good", "bad", "neutral"]
    lines = [json.loads(line) for line in (stored / "labels.jsonl").read_text().splitlines()]
    assert [line["turn"] for line in lines] == [0, 1, 0]
    assert lines[0]["shown"] == lines[1]["shown"] != lines[2]["shown"]
    first = shown.partition("2 of 6")[0]
    assert ">> Turn 1" in first
    assert "answer 1" not in first, "what came after the turn is not known yet"


def test_one_of_each_task_comes_before_the_second_of_any():
    played = [episode(task, attempt) for task in range(3) for attempt in range(3)]
    asked = list(questions(played, "pairs", 3, mixed=False, seed=0))
    assert len(asked) == 9
    assert {question.shown[0].task.id for question in asked[:3]} == {"t0", "t1", "t2"}
    assert [q.key for q in asked] == [q.key for q in questions(played, "pairs", 3, False, 0)]
    assert [q.key for q in asked] != [q.key for q in questions(played, "pairs", 3, False, 1)]
    mixed = list(questions(played, "pairs", 9, mixed=True, seed=0))
    assert all(q.shown[0].success != q.shown[1].success for q in mixed)
    assert len(mixed) == 6


@pytest.mark.parametrize(
    ("attempts", "words", "message"),
    [
        ([0], [], "no task has two played episodes"),
        ([1, 2], ["--mixed"], "no task has both a success and a failure"),
        ([], ["--ask", "turns"], "no played episode"),
        ([0, 1], ["--mixed", "--ask", "ratings"], "--mixed chooses pairs"),
    ],
)
def test_where_there_is_nothing_to_ask_it_says_so(tmp_path, attempts, words, message):
    (tmp_path / "trajectories.jsonl").touch()
    for attempt in attempts:
        store.append(tmp_path / "trajectories.jsonl", episode(0, attempt))
    done = CliRunner().invoke(cli.app, ["label", str(tmp_path), *words], input="1\n")
    assert done.exit_code == 2
    assert message in done.output
    assert not (tmp_path / "labels.jsonl").exists()


def test_who_stands_first_is_chance():
    played = [episode(task, attempt) for task in range(40) for attempt in range(2)]
    first = [question.shown[0].attempt for question in questions(played, "pairs", 1, False, seed=0)]
    assert 8 < sum(first) < 32


@pytest.mark.parametrize("columns", [60, 160])
def test_what_an_agent_said_steers_no_terminal(columns, monkeypatch, capsys):
    monkeypatch.setattr(command.shutil, "get_terminal_size", lambda: command.shutil.os.terminal_size((columns, 24)))
    played = [episode(0, n, "\x1b[2J[bold]\x1b]0;title\x07\u202e[/]:smile:") for n in (0, 1)]
    (question,) = questions(played, "pairs", 1, False, 0)
    Terminal(sys.stdout).show(question, "x")
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[bold]" in shown
    assert ":smile:" in shown


def test_json_says_what_is_done_and_keeps_stdout_for_it(stored):
    done = CliRunner().invoke(cli.app, ["label", str(stored), "--json"], input="1\nq\n")
    assert json.loads(done.stdout) == {"answered": 1, "questions": 9, "labels": str(stored / "labels.jsonl")}
    assert "which is better" in done.stderr
