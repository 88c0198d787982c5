"""`agenttrain view`: here and stop, or here and on a page until Ctrl-C."""

import json

import pytest
from typer.testing import CliRunner

from agenttrain import cli
from agenttrain.commands import view as command


def view(*words):
    result = CliRunner().invoke(cli.app, ["view", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "success": 0.25}\n{"step": 2, "success": 0.5}\n')
    return tmp_path


def test_once_shows_it_and_stops(folder):
    code, told = view(folder, "--once")
    assert code == 0
    assert "success" in told
    assert "0.25" in told
    assert "http" not in told


def test_it_is_served_until_the_person_ends_it(folder, monkeypatch):
    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(command.time, "sleep", interrupted)
    code, told = view(folder, "--port", 0)
    assert code == 0
    assert "http://127.0.0.1:" in told


def test_faults_are_told_in_a_line(folder):
    for words, said in (([folder / "nothing"], "There is no"), ([folder, "--episode", 0], "no episodes")):
        code, told = view(*words)
        assert (code, said in told) == (2, True), told


def test_programs_get_one_object(folder):
    code, told = view(folder, "--json")
    (run,) = json.loads(told)["runs"]
    assert code == 0
    assert [row["success"] for row in run["rows"]] == [0.25, 0.5]
    assert run["findings"] == run["episodes"] == []
