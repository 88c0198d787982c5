import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from agenttrain.sandbox import waiting
from agenttrain.sandbox.process import Ended, Process
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.sandbox.waiting import Waiting

CORES = 2


@pytest.fixture
def look(monkeypatch):
    """A look at threads (seconds run and waited), at a time, with so many outside and inside that want a core."""
    monkeypatch.setattr(waiting, "_CORES", CORES)

    def look(watch, at, threads, outside, inside=1):
        monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: at))
        monkeypatch.setattr(waiting, "_times", lambda tree: threads)
        monkeypatch.setattr(waiting, "_runnable", lambda: outside + inside + 1)
        watch.look([1], inside)
        return round(watch.seconds, 3), round(watch.starved, 3)

    return look


def second(look, threads, outside, inside=1):
    """What is counted of a second of these threads."""
    watch = Waiting()
    look(watch, 70, dict.fromkeys(threads, (5.0, 5.0)), 0)
    after = {name: (5 + ran, 5 + waited) for name, (ran, waited) in threads.items()}
    return look(watch, 71, after, outside, inside)


def test_one_thread_among_many_processes_has_waited(look):
    assert second(look, {"1": (0.08, 0.92)}, outside=24) == (0.92, 0.92)


def test_threads_that_keep_each_other_waiting_have_no_excuse(look):
    assert second(look, {str(n): (2 / 16, 14 / 16) for n in range(16)}, outside=0, inside=16) == (0.0, 0.0)
    kept, starved = second(look, {str(n): (0.02, 0.98) for n in range(16)}, outside=100, inside=16)
    assert kept == starved == 0.68, "of 0.98 the fifteen others may have run for 0.3"


def test_threads_that_sleep_do_not_count(look):
    assert second(look, {"1": (0.0, 0.0), "2": (0.1, 0.9)}, outside=20) == (0.9, 0.9)


@pytest.mark.parametrize("outside", [1, 2, 4])
def test_who_runs_hardly_at_all_has_hardly_an_excuse(look, outside):
    """Naps, yields and low priorities make any wait one likes of a machine that is a little busy."""
    kept, starved = second(look, {"1": (0.01, 0.9)}, outside=outside)
    assert kept == 0.9
    assert starved == 0.01 * outside / CORES


def test_a_load_from_inside_is_no_excuse(look):
    assert second(look, {"1": (0.125, 0.875)}, outside=0, inside=16) == (0.875, 0.0)


def test_nothing_counts_while_threads_come_and_go(look):
    watch = Waiting()
    for at, threads in enumerate([{"1": (0, 0)}, {"1": (0, 1), "2": (0, 0)}, {"1": (0, 2)}, {}, {}]):
        assert look(watch, at, threads, outside=24) == (0.0, 0.0)
    look(watch, 5, {"1": (0, 9)}, outside=24)
    assert look(watch, 6, {"1": (0.1, 9.5)}, outside=24) == (0.5, 0.5)
    look(watch, 7, {"1": (0.1, 9.5), "2": (0, 0)}, outside=24)
    assert look(watch, 8, {"1": (0.1, 9.5), "2": (0.1, 0.4)}, outside=24) == (0.9, 0.9)


def test_long_waits_of_many_threads_told_one_after_the_other_are_no_more_than_the_time_that_went_by(look):
    """A fork bomb: sixteen that wait a second each, and get their turn at different looks."""
    watch = Waiting()
    times = {str(n): (0.0, 0.0) for n in range(16)}
    look(watch, 0, times, outside=4, inside=16)
    for n in range(16):
        times = times | {str(n): (0.05, 1.0)}
        look(watch, (n + 1) / 16, times, outside=4, inside=16)
    assert round(watch.seconds, 3) == 0.2, "the others ran for 0.75 of a second, in which it may have waited for them"


def test_a_wait_from_before_the_count_is_cut(look):
    watch = Waiting()
    look(watch, 0, {"1": (0.0, 0.0)}, outside=4)
    assert look(watch, 1, {"1": (0.3, 8.0)}, outside=24) == (0.7, 0.7)


def test_a_process_that_is_gone_or_not_told_of_has_not_waited():
    assert waiting._times([2**22 + 1]) == {}


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="this kernel does not tell who waits")
def test_the_machine_is_seen_to_be_busy(sandbox, monkeypatch):
    """Processes that want the cores, four to each: code that wants one, too, waits at least half of its time."""
    monkeypatch.undo()
    burn = [sys.executable, "-c", "while True: pass"]
    burners = [subprocess.Popen(burn, start_new_session=True) for _ in range(4 * waiting._CORES)]
    process = Process(sandbox)
    try:
        process.left, began = 1.0, time.monotonic()
        process.send({"script": "while True: pass", "stdin": ""}, 9)
        with pytest.raises(Ended):
            process.receive(began + 60)
        assert time.monotonic() - began > 1.5
        assert 0.5 < process.starved <= process.waited
        assert Sandbox.waited(sandbox, 10**9)[:2] == (0.0, 0.0)
    finally:
        process.end()
        for burner in burners:
            burner.kill()
            burner.wait()
