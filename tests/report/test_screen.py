"""The terminal tells what the page tells, and nothing that an agent said reaches the terminal as a command."""

import pytest

from agenttrain import store
from agenttrain.errors import UserError
from agenttrain.report import run, screen


def test_the_overview_has_findings_figures_and_the_newest_episodes(folder):
    rows = "".join(f'{{"step": {step}, "grad_norm": 0.0, "success": 0.{step}}}\n' for step in range(1, 7))
    (folder / "metrics.jsonl").write_text(rows)
    text = screen.overview([run.read(folder, "mine", 100)])
    assert text.splitlines()[0] == "mine: rl, seed 7, credit gigpo, reward rlvf"
    assert "! The gradient was 0 in the last 5 steps" in text
    (line,) = [line.split() for line in text.splitlines() if line.strip().startswith("success")]
    assert line == ["success", "0.1", "0.6", "\u2581\u2582\u2584\u2585\u2587\u2588"]
    assert "12 episodes" in text
    assert "apart: step 3, attempt 1, success, 2 turns, return 1" in text


def test_an_episode_is_told_turn_by_turn(folder):
    text = screen.episode(run.read(folder, "mine", 100), 1)
    assert text.startswith("apart: step 1, attempt 1, success, 2 turns, return 1\n")
    assert 'Turn 2: outcome 1, advantage 0.5, entropy 0.3\n  assistant: go {"to": "in c1"}\n  tool go: in c1' in text


def test_programs_get_the_same_episode(folder):
    values = screen.values(run.read(folder, "mine", 100), 1)
    assert (values["task"], values["outcome"]) == ("apart", "success")
    assert [turn["scores"] for turn in values["details"]["turns"]] == [{"outcome": 0.0}, {"outcome": 1.0}]


def test_an_episode_that_is_not_there_is_told(folder):
    with pytest.raises(UserError, match="0 to 11"):
        screen.episode(run.read(folder, "mine", 100), 12)


def test_escape_sequences_stay_visible(folder, episode):
    store.append(folder / "trajectories.jsonl", episode("a\x1b[2J", said="b\x1b]0;t\x07", step=9))
    read = run.read(folder, "mine", 100)
    for text in (screen.overview([read]), screen.episode(read, 12)):
        assert "\x1b" not in text
        assert r"a\x1b[2J" in text


def test_a_long_course_fits_a_line():
    drawn = screen.sparks([float(n) for n in range(1001)])
    assert len(drawn) <= screen.WIDTH
    assert (drawn[0], drawn[-1]) == ("\u2581", "\u2588")
    assert screen.sparks([2.0, 2.0]) == "\u2581\u2581"
