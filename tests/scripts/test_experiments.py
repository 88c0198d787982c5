"""A killed experiment goes on where it was, seeds run side by side, and the first failure ends it."""

import threading
import time
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

FILE = Path(__file__).parent.parent.parent / "scripts/experiments.py"


def load():
    spec = spec_from_file_location("experiments_script", FILE)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXPERIMENTS = load()


@pytest.fixture
def made(monkeypatch):
    """The commands that were started, each of which leaves a report."""
    made = []

    def start(words, log):
        out = Path(next(word for word in words if word.startswith("out=")).removeprefix("out="))
        assert not out.exists()
        out.mkdir()
        (out / "report.md").touch()
        made.append(words)
        return 0

    monkeypatch.setattr(EXPERIMENTS, "in_a_process", start)
    return made


def test_what_is_complete_is_not_made_again_and_all_else_is(tmp_path, made):
    for words in (("rl", "seed=1"), ("rl", "seed=1"), ("rl", "seed=2"), ("rl", "seed=2")):
        EXPERIMENTS.command(tmp_path / "run", *words)
    assert len(made) == 2
    (tmp_path / "run/report.md").unlink()
    EXPERIMENTS.command(tmp_path / "run", "rl", "seed=2")
    assert len(made) == 3


def test_runs_of_one_strategy_have_logs_of_their_own(tmp_path, made):
    for folder in ("0.001-1-30", "0.001-2-30") * 2:
        EXPERIMENTS.command(tmp_path / folder, "rl")
    assert len(made) == 2


def test_a_command_that_fails_is_told_with_its_log(tmp_path, monkeypatch):
    monkeypatch.setattr(EXPERIMENTS, "in_a_process", lambda words, log: 2)
    with pytest.raises(SystemExit, match=r"ended with status 2: see .*run\.log"):
        EXPERIMENTS.command(tmp_path / "run", "rl", "seed=1")


def test_seeds_run_side_by_side_and_are_told_in_their_order():
    together = threading.Barrier(2, timeout=60)

    def run(seed):
        together.wait()
        return 10 * seed

    assert EXPERIMENTS.each(run, [3, 1, 2, 0], jobs=2) == [30, 10, 20, 0]


def test_after_a_failure_nothing_more_begins():
    begun = []

    def run(seed):
        begun.append(seed)
        if seed == 1:
            raise SystemExit("it failed")
        time.sleep(0.2)

    with pytest.raises(SystemExit, match="it failed"):
        EXPERIMENTS.each(run, range(100), jobs=2)
    assert len(begun) < 50


def test_minutes_are_those_of_all_commands_that_have_ended(tmp_path):
    for name, end in (("a", "90.0 CPU s"), ("b/c", "30.0 CPU s"), ("b/killed", "step 3")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.log").write_text(f"agenttrain sft\n{end}\n")
    assert EXPERIMENTS.cpu_minutes(tmp_path) == 2.0


@pytest.mark.slow
def test_a_real_command_leaves_its_log_and_its_seconds(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(FILE.parent))  # its process imports it by name
    experiments = import_module("experiments")
    experiments.command(tmp_path / "played", "generate-trajectories", "conf=demo", "task.n=2")
    assert (tmp_path / "played/trajectories.jsonl").is_file()
    assert experiments.cpu_minutes(tmp_path) > 0
    with pytest.raises(SystemExit, match=r"ended with status 2: see .*none\.log"):
        experiments.command(tmp_path / "none", "generate-trajectories", "conf=none")
