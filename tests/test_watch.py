import json
import os
import pty
import re
import subprocess
import sys

import numpy as np
import pytest

from agenttrain import watch
from agenttrain.watch import Bar, MetricsFile, duration, progress

NESTED = """
import sys
from agenttrain.watch import progress
with progress("outer", 2, "steps") as outer:
    for step in range(2):
        with progress("inner", 3) as inner:
            inner.advance(3, success=0.5)
        outer.advance(1, loss=0.25)
        print("said on stdout")
    if "fail" in sys.argv:
        raise KeyboardInterrupt
"""


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_without_a_terminal_a_step_prints_its_first_and_last_line_only(capsys):
    with progress("evaluation", 200) as bar:
        for n in range(200):
            bar.advance(success=n / 200)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0] == "evaluation: 0/200 episodes"
    assert re.fullmatch(r"evaluation: 200/200 episodes in 0 s, [\d.]+/s, success 0.995", lines[1])


def test_a_line_appears_once_the_interval_is_over(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])
    with progress("evaluation", 100) as bar:
        for _ in range(12):
            now[0] += 1.0
            bar.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "evaluation: 5/100 episodes, 1.0/s, 1 min 35 s left"
    assert len(lines) == 4  # first, after 5 s, after 10 s, last


def test_a_step_within_a_step_adds_no_lines_of_its_own(capsys):
    with progress("rl", 3, unit="steps") as outer:
        for _ in range(3):
            with progress("episodes", 4) as inner:
                inner.advance(4)
            outer.advance()
    err = capsys.readouterr().err
    assert "episodes:" not in err
    assert err.splitlines()[-1].startswith("rl: 3/3 steps in")


def test_an_exception_passes_through_and_the_last_line_says_how_far_it_came(capsys):
    def failing_step():
        with progress("sft", 10, unit="steps") as bar:
            bar.advance(4)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        failing_step()
    assert "sft: 4/10 steps stopped after 0 s" in capsys.readouterr().err
    with progress("next", 1) as bar:
        bar.advance()
    assert "next: 1/1 episodes in" in capsys.readouterr().err  # the display of the failed step is gone


def test_only_rank_0_says_and_writes_anything(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("RANK", "1")
    with progress("rl", 1) as bar:
        bar.advance()
    MetricsFile(tmp_path / "metrics.jsonl").write(step=1, loss=1.0)
    assert capsys.readouterr().err == ""
    assert not (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize("fail", [False, True])
def test_a_terminal_gets_one_live_display_and_its_cursor_back(fail):
    shown, stdout = on_terminal(NESTED, *["fail"] * fail)
    assert shown.count("\x1b[?25l") == 1  # hidden once: one live display, however many steps
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert "2/2 steps" in shown
    assert "loss 0.25" in shown
    assert stdout == "said on stdout\n" * 2  # a pipe behind stdout gets what was printed, all of it


def on_terminal(program, *arguments):
    """stderr as a terminal showed it, and stdout as a pipe got it."""
    terminal, side = pty.openpty()
    environ = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stderr=side, stdout=subprocess.PIPE, text=True, env=environ
    )
    os.close(side)
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # Linux says so when the other side has closed
            break
        if not piece:
            break
        shown += piece
    os.close(terminal)
    return shown.decode(), process.communicate(timeout=20)[0]


def test_rich_is_not_imported_where_there_is_no_terminal():
    program = NESTED + "\nassert 'rich' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def test_a_total_that_is_not_known_gives_no_time_left():
    bar = Bar("reading", None, "records", watch._Silent())
    bar.advance(7)
    assert bar.count() == "7 records"
    assert bar.left() == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.7, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")]
)
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text


def test_metrics_are_numbers_or_null(tmp_path):
    path = tmp_path / "run" / "metrics.jsonl"
    metrics = MetricsFile(path)
    metrics.write(step=1, loss=float("nan"), reward=np.float32(0.5), turns=3, kl=float("inf"), value=None)
    (row,) = rows(path)
    assert row.pop("time") > 1e9
    assert row == {"step": 1, "loss": None, "reward": 0.5, "turns": 3, "kl": None, "value": None}
    assert "NaN" not in path.read_text()


def test_a_resumed_run_takes_back_the_rows_it_writes_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    killed = MetricsFile(path)
    for step in (10, 20, 30, 40):
        killed.write(step=step, loss=step)
    with path.open("a") as file:
        file.write('{"time": 1, "st')  # the kill came in the middle of a line
    resumed = MetricsFile(path)
    resumed.write(step=30, loss=0.5)
    resumed.write(step=30, heldout_loss=0.6)
    resumed.write(step=40, loss=0.4)
    assert [(row["step"], row.get("loss")) for row in rows(path)] == [
        (10, 10),
        (20, 20),
        (30, 0.5),
        (30, None),
        (40, 0.4),
    ]


def test_a_summary_at_the_last_step_does_not_take_back_that_steps_loss(tmp_path):
    path = tmp_path / "metrics.jsonl"
    MetricsFile(path).write(step=50, loss=0.1)
    MetricsFile(path).write(step=50, train_runtime=9.0)  # a finished run, resumed: nothing left but the summary
    assert [row["step"] for row in rows(path)] == [50, 50]
