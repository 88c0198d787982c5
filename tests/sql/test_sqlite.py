import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agenttrain.sql import workers
from agenttrain.sql.sqlite import Sqlite
from agenttrain.sql.workers import Failure, Result


@pytest.fixture
def sqlite():
    sqlite = Sqlite(2, 0.5)
    yield sqlite
    sqlite.close()


def process(sqlite):
    return sqlite._workers._idle.queue[-1]._process


def test_queries_of_many_threads_get_their_own_answers(sqlite):
    with ThreadPoolExecutor(16) as threads:
        answers = threads.map(lambda n: sqlite.run({"script": ""}, f"SELECT {n}", 1), range(200))
        assert list(answers) == [Result([str(n)], [(n,)], False) for n in range(200)]


def test_no_process_outlives_the_one_that_asked():
    program = (
        "import os; from agenttrain.sql.sqlite import Sqlite; s = Sqlite(1, 60.0)\n"
        "s.run({'script': ''}, 'SELECT 1', 1)\n"
        "print(s._workers._idle.queue[0]._process.pid, flush=True); os._exit(0)"
    )
    pid = int(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/cmdline").exists() and b"sqlite_worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_worker_that_was_killed_is_replaced():
    sqlite = Sqlite(1, 5.0)
    assert isinstance(sqlite.run({"script": ""}, "SELECT 1", 1), Result)
    os.kill(process(sqlite).pid, 9)
    for _ in range(100):
        result = sqlite.run({"script": ""}, "SELECT 1", 1)
        if isinstance(result, Result):
            break
    assert isinstance(result, Result)
    sqlite.close()


def test_a_failure_names_its_reason(sqlite):
    assert sqlite.run({"script": ""}, "SELECT colour", 1) == Failure("no such column: colour")


def test_a_blob_is_shown_as_a_query_writes_it(sqlite):
    assert sqlite.run({"script": ""}, "SELECT x'00ff'", 1) == Result(["x'00ff'"], [("x'00ff'",)], False)


def test_an_answer_too_long_to_hold_is_not_read(sqlite, monkeypatch):
    monkeypatch.setattr(workers, "LONGEST", 1000)
    assert isinstance(sqlite.run({"script": ""}, "SELECT hex(zeroblob(2000))", 1), Failure)
    assert sqlite.run({"script": ""}, "SELECT 1", 1) == Result(["1"], [(1,)], False)


def test_a_query_that_takes_too_long_costs_no_process(sqlite):
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    assert sqlite.run({"script": ""}, endless, 1) == Failure("stopped: it takes more than 0.5 s or too much memory")
    assert sqlite._workers._idle.queue[-1].alive
