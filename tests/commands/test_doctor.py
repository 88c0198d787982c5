import json

import pytest
from typer.testing import CliRunner

from agenttrain import cli


def doctor(*words):
    return CliRunner().invoke(cli.app, ["doctor", *map(str, words)])


@pytest.fixture
def run(tmp_path):
    """A folder with the figures of a run of `rl`, one that learns unless told otherwise."""

    def build(name, **figures):
        rows = []
        for step in range(1, 13):
            row = {"step": step, "loss": 0.01, "grad_norm": 1.0, "success": 0.3 + step / 40, "entropy": 0.5}
            rows.append(row | {key: value(step) for key, value in figures.items()})
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return tmp_path / name

    return build


def test_a_run_that_learns_gets_no_complaint(run):
    done = doctor(run("good"))
    assert done.exit_code == 0
    assert "nothing to see to in 12 steps" in done.output


def test_faults_of_runs_are_told_with_what_to_do(run):
    good, silent = run("good"), run("silent", grad_norm=lambda _: 0.0)
    failing = run("failing", invalid_calls=lambda step: step / 24, loss=lambda step: None if step == 3 else 0.01)
    done = doctor(good, silent, failing)
    assert done.exit_code == 1
    assert "grad_norm: The gradient was 0 in the last 5 steps" in done.output
    assert "invalid_calls: Invalid calls rose from" in done.output
    assert "loss: The loss was no finite number in 1 step" in done.output
    told = json.loads(doctor(good, silent, "--json").stdout)
    assert [len(found) for found in told.values()] == [0, 1]
    assert told[str(silent)][0]["figure"] == "grad_norm"


def test_a_folder_without_a_run_is_refused(tmp_path):
    done = doctor(tmp_path)
    assert done.exit_code == 2
    assert "no run" in done.stderr


def test_the_machine_is_told_as_json_too(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    done = doctor("--json", "--url", "http://127.0.0.1:9/v1")
    assert done.exit_code == 1
    checks = {check["name"]: check for check in json.loads(done.stdout)["machine"]}
    assert checks["endpoint"]["state"] == "fault"
    assert checks["libraries"]["state"] == "ok"
    assert doctor().exit_code == 0
