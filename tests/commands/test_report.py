"""`agenttrain report`: one file for a run or two, and a line for what is wrong."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from agenttrain import cli, store
from agenttrain.commands import report as command
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


@pytest.fixture
def folder(tmp_path):
    """Twelve episodes at three tasks, with tokens."""
    path = tmp_path / "run"
    with store.Writer(path / "trajectories.jsonl") as writer:
        for number in range(12):
            say = Action({"role": "assistant", "content": "go"}, [1], [2], [-0.1], [0.1])
            turns = [Turn(say, Observation([], done=True, feedback={"success": True}))]
            writer.write(Trajectory(Task(f"t{number % 3}", []), turns, "done", attempt=number // 3))
    return path


def report(*words):
    result = CliRunner().invoke(cli.app, ["report", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_the_file_stands_in_the_runs_folder_unless_told_otherwise(folder, tmp_path):
    code, told = report(folder)
    assert (code, "report.html" in told, "12 episodes of run" in told) == (0, True, True)
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
    assert not list(folder.glob("*.new"))
    code, told = report(folder, "--out", tmp_path / "there.html", "--most", 4)
    assert (code, "4 of 12 episodes" in told) == (0, True)
    assert (tmp_path / "there.html").is_file()


def test_a_run_whose_tokens_cannot_be_read_is_told(folder):
    assert "--tokenizer" in report(folder)[1]


def test_two_runs_have_labels(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "b" / "run")
    out = tmp_path / "two.html"
    code, told = report(folder, tmp_path / "b" / "run", "--out", out)  # the same name: paths tell them apart
    assert (code, str(folder) in told) == (0, True)
    code, told = report(f"before={folder}", f"after={tmp_path / 'b' / 'run'}", "--out", out)
    assert (code, "of before" in told, "of after" in told) == (0, True, True)
    assert "<title>before and after" in out.read_text()


def test_two_runs_leave_the_report_of_either_alone(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    assert report(folder, tmp_path / "other")[0] == 0
    assert (tmp_path / "other" / "comparison.html").is_file()
    assert not (tmp_path / "other" / "report.html").exists()


def test_programs_get_one_object(folder):
    told = json.loads(report(folder, "--json", "--most", 4)[1])
    assert told["file"] == str(folder / "report.html")
    assert told["bytes"] == (folder / "report.html").stat().st_size
    assert told["runs"] == [{"label": "run", "episodes": 4, "played": 12}]


def test_faults_are_told_in_a_line(folder, tmp_path):
    for words, said in (
        ([tmp_path / "nothing"], "There is no"),
        ([folder, folder], "same label"),
        ([folder, folder, folder], "these are 3"),
        ([folder, "--out", tmp_path / "no" / "x.html"], "cannot be written"),
    ):
        code, told = report(*words)
        assert (code, said in told) == (2, True), told


def test_a_command_leaves_a_page_and_of_a_large_run_says_how(folder, capsys, monkeypatch):
    command.leave(folder)
    assert (folder / "report.html").is_file()
    (folder / "report.html").unlink()
    monkeypatch.setattr(command, "CHEAP", 100)
    command.leave(folder)
    assert not (folder / "report.html").exists()
    assert f"agenttrain report {folder}" in capsys.readouterr().out
