"""The benchmarks run, both sides play the same tokens, and the figures add up."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts/bench"


def tables(script, *arguments):
    """What a short run prints: a list of columns by header for each table."""
    done = subprocess.run(
        [sys.executable, SCRIPTS / script, "--quick", *arguments], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = []
    for block in done.stdout.split("\n\n"):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines() if line[:1] == "|"]
        if rows:
            header, _, *rows = rows
            found.append(dict(zip(header, zip(*rows, strict=True), strict=True)))
    return found


def numbers(column):
    """The medians of a column."""
    return [float(cell.split()[0].replace(",", "")) for cell in column if cell]


@pytest.mark.slow
def test_a_rollout_on_both_sides_samples_the_same_tokens():
    (found,) = tables("rollout.py")
    assert found["lengths"] == ("ragged", "equal")
    assert numbers(found["sampled tokens"])[1] == 4 * 2 * 30  # compared token by token in the script itself
    for ours, theirs, ratio in zip(*(numbers(found[n]) for n in ("ours, s", "TRL, s", "TRL / ours")), strict=True):
        assert ratio == pytest.approx(theirs / ours, abs=0.1 + 0.3 * ratio)


@pytest.mark.slow
def test_no_way_to_sample_is_faster_than_the_floor():
    (found,) = tables("floor.py")
    assert [way.split(",")[0] for way in found["way"]] == ["generate", "ours", "ours"]
    assert all(0 < share < 100 for share in numbers(found["share, %"]))


@pytest.mark.slow
def test_latency_is_told_for_each_step_time():
    (found,) = tables("latency.py")
    assert found["a step takes"] == ("0 ms", "20 ms", "200 ms")
    assert numbers(found["waited, s"]) == [0, pytest.approx(4 * 2 * 0.02, abs=0.05), pytest.approx(4 * 2 * 0.2)]
    assert numbers(found["rollout, s"])[2] >= 2 * 0.2  # nobody hides the latency of a lone episode
    assert all(share <= 100 for share in numbers(found["hidden of waited, %"]))


@pytest.mark.slow
def test_a_step_on_both_sides_has_the_same_gradient():
    (found,) = tables("step.py")  # which fails where they differ
    assert found[""] == ("TRL", "ours", "TRL / ours")
    steps, playing, rest = (numbers(found[name])[:2] for name in ("step, s", "rollout, s", "the rest, s"))
    assert all(0 < part <= whole for part, whole in zip(playing, steps, strict=True))
    assert [a + b for a, b in zip(playing, rest, strict=True)] == pytest.approx(steps, abs=0.02)


@pytest.mark.slow
def test_tokens_and_memory_of_more_episodes():
    episodes, turns, slots = tables("scale.py")
    assert episodes["episodes at once"] == ("4", "8")
    assert numbers(episodes["tokens"])[1] > 1.5 * numbers(episodes["tokens"])[0]
    assert numbers(turns["turns"]) == [2, 4]
    kept, needed = numbers(slots["KiB for each of 8 slots"]), numbers(slots["keys and values, KiB"])
    assert all(0 < least <= most for least, most in zip(needed, kept, strict=True))


@pytest.mark.slow
def test_environments_are_measured_and_leave_nothing():
    (found,) = tables("environments.py", "corridor", "api")
    assert found["env"] == ("corridor", "api")
    assert all(rate > 0 for header, column in found.items() if "steps/s" in header for rate in numbers(column))
    (left,) = tables("environments.py", "api", "--leaks")
    assert [numbers(left[what]) for what in ("processes", "threads", "open files")] == [[0], [0], [0]]
    assert numbers(left["memory, MB"])[0] < 20


@pytest.mark.slow
def test_a_record_drawn_twice_costs_its_tokens_once():
    (found,) = tables("draws.py")
    assert found[""] == ("once", "each")
    once, each = numbers(found["tokens, s"])
    assert once < each
