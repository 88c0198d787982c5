import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agenttrain import cli
from agenttrain.env.sql import Sql
from agenttrain.errors import UserError
from agenttrain.policy.sql_expert import SqlExpert
from agenttrain.rollout import Attempt, Limits, rollout
from agenttrain.sql import server
from agenttrain.sql.postgresql import Postgresql
from agenttrain.sql.workers import Failure, Result
from agenttrain.task.sql import Sql as SqlTasks
from agenttrain.types import InfraError, Task
from agenttrain.worlds.databases import SEEN, UNSEEN, database

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
SCRIPT = Path(__file__).parents[2] / "scripts" / "postgresql.sh"
PRODUCTS = {"script": database(SEEN[0], 0).script}
TASK = next(task for task in SqlTasks("all") if "rows_of_product_have_price_above_50" in task.id)


@contextmanager
def started():
    """The URL of a server of our own, which ends with us, and its process; skips where there can be none."""
    if not shutil.which("postgres") and not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        pytest.skip("PostgreSQL's server is not installed")
    if os.geteuid() == 0 and (
        not shutil.which("setpriv") or subprocess.run(["id", "postgres"], capture_output=True).returncode
    ):
        pytest.skip("PostgreSQL does not serve root, and there is no other user to change to")
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o700)
    # Standard input ends with this process, however it ends, and then the server does.
    command = 'sh "$0" "$1" </dev/null & read _; kill -QUIT $!; wait'
    log = Path(folder, "log")
    with log.open("w") as file:
        shell = subprocess.Popen(["sh", "-c", command, SCRIPT, folder], stdin=subprocess.PIPE, stdout=file, stderr=file)
    url = f"postgresql://agenttrain@/postgres?host={folder}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(url).close()
                break
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, log.read_text()
                assert shell.poll() is None, log.read_text()
                time.sleep(0.05)
        yield url
    finally:
        shell.communicate()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def url():
    with started() as url:
        yield url


@pytest.fixture(scope="module")
def databases(url):
    databases = Postgresql(url, 2, 10.0)
    yield databases
    databases.close()


@pytest.fixture(scope="module")
def env(url):
    env = Sql(url, seconds=1.0)
    yield env
    env._engine.close()


def ask(url, query):
    with psycopg.connect(url, autocommit=True) as admin:
        return admin.execute(query).fetchall()


def readers(url):
    return ask(url, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'agenttrain_reader'")[0][0]


def soon(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def act(name, query):
    calls = [{"function": {"name": name, "arguments": {"query": query}}}]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def test_an_episode_goes_as_on_sqlite(env):
    sqlite = Sql()
    for engine in (env, sqlite):
        episode = engine.episode(TASK, 0)
        assert "product(id, name, price, stock, maker_id)\nHow many" in episode.start()[-1]["content"]
        look = episode.step(act("sql", "SELECT name, price FROM product ORDER BY id LIMIT 2"))
        assert look.messages[0]["content"] == "name | price\nUlmo | 31\nMira | 5"
        assert look.feedback == {"rows": 2}
        assert episode.step(act("submit", TASK.answer)).feedback == {"success": True}
    sqlite._engine.close()


def test_the_environment_keeps_its_promises(url):
    done = CliRunner().invoke(cli.app, ["env", "check", "sql", f"env.server='{url}'", "tasks=2"])
    assert done.exit_code == 0, done.output
    assert done.output.count("kept") == 12


@pytest.mark.slow
def test_the_version_of_the_server_is_known_once_it_was_asked(url, env):
    assert Sql(url).versions == {}
    env.episode(TASK, 0).start()
    assert ask(url, "SHOW server_version")[0][0].split()[0] == env.versions["PostgreSQL"]


def test_all_invented_gold_queries_score_1(env):
    tasks = list(SqlTasks("all"))
    right = [env.episode(task, 0).step(act("submit", task.answer)).feedback["success"] for task in tasks]
    assert (len(right), sum(right)) == (480, 480)


@pytest.mark.parametrize("schema", [*SEEN, *UNSEEN], ids=lambda schema: schema.thing)
def test_tables_are_named_as_a_query_writes_them(databases, schema):
    tables = databases.run({"script": database(schema, 0).script}, databases.tables, 9)
    assert sorted(f"{name}({columns})" for name, columns in tables.rows) == sorted(schema.text.splitlines())


def test_cells_are_plain_values(databases):
    cells = {
        "NULL": None,
        "7": 7,
        "12345678901234567890123": 12345678901234567890123,
        "1.50": 1.5,
        "avg(n) FROM (VALUES (1), (2)) AS t(n)": 1.5,
        "'NaN'::float8": "NaN",
        "'-infinity'::numeric": "-Infinity",
        "'\\x00ff'::bytea": "x'00ff'",
        "date '12000-02-01'": "12000-02-01",
        "true": "t",
        "ARRAY[1, 2]": "{1,2}",
        "'7'": "7",
        "'é'": "é",
    }
    results = [databases.run(PRODUCTS, f"SELECT {cell}", 1) for cell in cells]
    assert [result.rows for result in results] == [[(value,)] for value in cells.values()]


def test_no_row_is_a_result_and_more_rows_are_told(databases):
    assert databases.run(PRODUCTS, "SELECT name FROM product WHERE id = 0", 5) == Result(["name"], [], False)
    assert databases.run(PRODUCTS, "SELECT id FROM product ORDER BY id", 2) == Result(["id"], [(1,), (2,)], True)
    assert databases.run(PRODUCTS, "SELECT id FROM product WHERE id < 3", 2).more is False
    without_end = databases.run(PRODUCTS, "SELECT generate_series(1, 1000000000) AS n", 2)
    assert without_end == Result(["n"], [(1,), (2,)], True)


def test_an_error_is_told_with_its_hint(databases):
    assert databases.run(PRODUCTS, "SELECT nam FROM product", 1) == Failure(
        'column "nam" does not exist. Perhaps you meant to reference the column "product.name".'
    )


READ_ONLY, DENIED, ONE, NOTHING = "read-only", "permission denied", "multiple commands", "returns nothing"
STOPPED = "stopped|out of memory|temp_file_limit"
HOSTILE = {
    "DELETE FROM product": READ_ONLY,
    "DROP TABLE product": READ_ONLY,
    "WITH gone AS (DELETE FROM product RETURNING *) SELECT * FROM gone": READ_ONLY,
    "EXPLAIN ANALYZE DELETE FROM product": READ_ONLY,
    "CREATE TEMP TABLE t (x int)": READ_ONLY,
    "CREATE EXTENSION dblink": READ_ONLY,
    "ALTER ROLE agenttrain_reader SET temp_file_limit = -1": READ_ONLY,
    "SELECT 1; DELETE FROM product": ONE,
    "COMMIT; DELETE FROM product": ONE,
    "COMMIT": NOTHING,
    "SET statement_timeout = 0": NOTHING,
    "SET transaction_read_only = off": NOTHING,
    "": NOTHING,
    "-- nothing": NOTHING,
    "COPY product TO STDOUT": NOTHING,
    "COPY product FROM STDIN": DENIED,
    "COPY (SELECT 1) TO PROGRAM 'touch hacked'": "must be superuser",
    "COPY product FROM '/etc/passwd'": "must be superuser",
    "SELECT pg_read_file('/etc/passwd')": DENIED,
    "SELECT pg_ls_dir('.')": DENIED,
    "LOAD 'dblink'": "not allowed",
    "SET ROLE agenttrain": DENIED,
    "SET SESSION AUTHORIZATION agenttrain_maker": DENIED,
    "DO $$ BEGIN LOOP BEGIN PERFORM 1; EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$": DENIED,
    "SELECT set_config('statement_timeout', '0', false)": DENIED,
    "SELECT set_config('role', 'agenttrain', false)": DENIED,
    "SELECT set_config('transaction_read_only', 'off', false)": DENIED,
    "UPDATE pg_settings SET setting = 0 WHERE name = 'statement_timeout'": READ_ONLY,
    "SELECT pg_sleep(60)": DENIED,
    "SELECT lo_create(0)": DENIED,
    "SELECT lo_from_bytea(0, 'x')": DENIED,
    "SELECT pg_advisory_lock(n) FROM generate_series(1, 1000000) n": DENIED,
    "SELECT pg_terminate_backend(pid) FROM pg_locks": DENIED,
    "SELECT query FROM pg_stat_activity": DENIED,
    "SELECT pg_stat_get_backend_activity(n) FROM generate_series(1, 9) n": DENIED,
    "SELECT * FROM pg_authid": DENIED,
    "SELECT * FROM dblink('', 'SELECT 1') AS t(x int)": "does not exist",
    "SELECT query_to_xml('SELECT 1', true, true, '')": DENIED,
    "SELECT $1": "parameters",
    "SELECT '\ud800'": "surrogates",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n": STOPPED,
    "SELECT count(*) FROM generate_series(1, 1000000000000)": STOPPED,
    "SELECT repeat('x', 1000000000)": STOPPED,
    "SELECT array_agg(repeat('x', 1000000) || n) FROM generate_series(1, 1000000) n": STOPPED,
    "SELECT count(*) FROM pg_proc a, pg_proc b, pg_proc c": STOPPED,
}


@pytest.mark.parametrize("query", HOSTILE)
def test_what_writes_reaches_out_or_never_ends_is_refused_and_changes_nothing(env, query):
    episode = env.episode(TASK, 0)
    refused = episode.step(act("sql", query)).feedback.get("tool_error")
    assert refused
    assert any(reason in refused for reason in HOSTILE[query].split("|")), refused
    assert episode.step(act("submit", TASK.answer)).feedback == {"success": True}


@pytest.mark.slow
def test_a_cell_too_large_for_the_process_is_the_query_s_own_failure(url):
    databases = Postgresql(url, 1, 60.0)
    assert databases.run(PRODUCTS, "SELECT repeat('x', 300000000)", 1) == Failure("out of memory")
    assert databases.run(PRODUCTS, "SELECT 1 AS one", 1) == Result(["one"], [(1,)], False)
    databases.close()


def test_settings_of_a_query_do_not_reach_the_next(databases):
    for query in ("SET search_path = nowhere", "PREPARE p AS SELECT 1", "DECLARE c CURSOR WITH HOLD FOR SELECT 1"):
        databases.run(PRODUCTS, query, 1)
    assert isinstance(databases.run(PRODUCTS, "SELECT * FROM product", 1), Result)
    assert isinstance(databases.run(PRODUCTS, "EXECUTE p", 1), Failure)


def test_queries_of_many_threads_get_their_own_answers_and_leave_no_connection(databases, url):
    with ThreadPoolExecutor(16) as threads:
        answers = threads.map(lambda n: databases.run(PRODUCTS, f"SELECT {n}", 1).rows, range(100))
        assert list(answers) == [[(n,)] for n in range(100)]
    soon(lambda: readers(url) == 0)


def test_a_query_that_takes_too_long_is_stopped_by_the_server(databases, url):
    impatient = Postgresql(url, 1, 0.2)
    for query in ("SELECT 1", "SELECT count(*) FROM pg_proc a, pg_proc b, pg_proc c"):
        result = impatient.run(PRODUCTS, query, 1)
    assert result == Failure("stopped: it takes more than 0.2 s or too much memory")
    assert impatient._workers._idle.queue[0].alive
    impatient.close()


def test_what_catches_its_own_end_is_ended_from_outside(url, tmp_path):
    (tmp_path / "trap.sql").write_text(
        "CREATE FUNCTION trap() RETURNS int LANGUAGE plpgsql SET client_connection_check_interval = 0 AS $$ BEGIN\n"
        "LOOP BEGIN LOOP NULL; END LOOP; EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$;"
    )
    trap = {"path": str(tmp_path / "trap.sql")}
    databases = Postgresql(url, 1, 0.5)
    databases._workers.grace = 1.0
    assert isinstance(databases.run(trap, "SELECT 1", 1), Result)
    assert databases.run(trap, "SELECT trap()", 1) == databases._workers.stopped
    soon(lambda: readers(url) == 0)
    databases.close()


def test_each_query_has_its_limits(databases):
    for setting, value in (("work_mem", "16MB"), ("temp_file_limit", "256MB"), ("statement_timeout", "10s")):
        assert databases.run(PRODUCTS, f"SHOW {setting}", 1).rows == [(value,)]


def test_a_file_of_ones_own(url, tmp_path):
    (tmp_path / "pets.sql").write_text(
        "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSET client_encoding = 'UTF8';\n"
        "SELECT pg_catalog.set_config('search_path', '', false);\nCREATE SCHEMA zoo;\n"
        'CREATE TABLE public.cat (name text, "Age" integer);\nCREATE TABLE zoo."Big Cat" (name text);\n'
        "INSERT INTO public.cat VALUES ('Tom', 3);\nINSERT INTO public.cat VALUES ('Kit\n\\N', 1);\n\n"
        "\\unrestrict abc\n"
    )
    question = [{"role": "user", "content": "How old?"}]
    task = Task("q", question, "SELECT \"Age\" FROM cat WHERE name = 'Tom'", {"db": "pets"})
    env = Sql(url, databases=str(tmp_path))
    episode = env.episode(task, 0)
    assert episode.start()[-1]["content"] == 'cat(name, "Age")\nzoo."Big Cat"(name)\nHow old?'
    assert episode.step(act("sql", 'SELECT * FROM zoo."Big Cat"')).feedback == {"rows": 0}
    assert episode.step(act("sql", 'SELECT name FROM cat WHERE "Age" = 1')).messages[0]["content"] == "name\nKit\n\\N"
    assert episode.step(act("submit", "SELECT 3")).feedback == {"success": True}
    with pytest.raises(UserError, match=r"no dogs\.sql in"):
        env.episode(Task("q", question, "SELECT 1", {"db": "dogs"}), 0)
    env._engine.close()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("CREATE TABLE cat (name text; ", "syntax error"),
        ("COPY (SELECT 1) TO PROGRAM 'id'", "superuser"),
        ("RESET ROLE; CREATE ROLE thief SUPERUSER", "superuser"),
        ("CREATE EXTENSION dblink", "permission denied"),
    ],
)
def test_a_script_with_a_fault_is_told_and_leaves_no_database(databases, url, tmp_path, script, why):
    (tmp_path / "bad.sql").write_text(f"CREATE TABLE a (x int); {script}")
    before = ask(url, "SELECT datname FROM pg_database ORDER BY 1")
    with pytest.raises(UserError, match=rf"bad\.sql makes no database: (.|\n)*{why}"):
        databases.run({"path": str(tmp_path / "bad.sql")}, "SELECT 1", 1)
    assert ask(url, "SELECT datname FROM pg_database ORDER BY 1") == before


def test_a_database_is_made_once_whoever_asks_and_a_half_one_is_none(url):
    script = {"script": "CREATE TABLE cat (name text); INSERT INTO cat VALUES ('Tom')"}
    with ThreadPoolExecutor(4) as threads:
        engines = [Postgresql(url, 1, 5.0) for _ in range(4)]
        results = list(threads.map(lambda engine: engine.run(script, "SELECT * FROM cat", 9), engines))
    assert results == [Result(["name"], [("Tom",)], False)] * 4
    name = engines[0]._login(script)["dbname"]
    assert ask(url, f"SELECT datname FROM pg_database WHERE datname LIKE '{name}%'") == [(name,)]
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name}")
        admin.execute(f"CREATE DATABASE {name}_half")  # as a run leaves it that was killed
    again = Postgresql(url, 1, 5.0)
    assert again.run(script, "SELECT * FROM cat", 9) == results[0]
    for engine in (*engines, again):
        engine.close()


def test_a_database_reads_nothing_of_another(databases):
    other = {"script": database(SEEN[1], 0).script}
    assert isinstance(databases.run(other, "SELECT * FROM student", 1), Result)
    name = databases._login(other)["dbname"]
    assert "not implemented" in databases.run(PRODUCTS, f"SELECT * FROM {name}.public.student", 1).reason


def test_a_server_that_is_gone_is_no_failure_of_the_agent(monkeypatch, caplog):
    def play():
        return next(rollout([Attempt(TASK, 0, 0)], env, SqlExpert(), Limits(retries=1)))

    monkeypatch.setenv("MEMORY", "unlimited")
    with started() as url:
        env = Sql(url, seconds=5.0)
        assert play().success
        assert "no limit of memory" in caplog.text
        episode = env.episode(TASK, 0)
        episode.start()
    with pytest.raises(InfraError):
        episode.step(act("sql", "SELECT 1"))
    masked = play()
    assert (masked.stop, masked.retries) == ("infra_error", 1)
    env._engine.close()


def test_a_backend_that_dies_under_a_query_is_no_failure_of_the_agent(url):
    databases = Postgresql(url, 1, 20.0)
    databases.run(PRODUCTS, "SELECT 1", 1)
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION SELECT (x + 1) % 1000000000 FROM n) SELECT count(*) FROM n"
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(databases.run, PRODUCTS, endless, 1)
        soon(lambda: readers(url) == 1)
        ask(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'agenttrain_reader'")
        with pytest.raises(InfraError, match="administrator"):
            waiting.result()
    databases.close()


def test_a_server_that_is_gone_while_it_makes_a_database_is_no_fault_of_the_script(url):
    databases = Postgresql(url, 1, 5.0)
    databases.run(PRODUCTS, "SELECT 1", 1)
    makers = "SELECT pid FROM pg_stat_activity WHERE usename = 'agenttrain_maker'"
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(databases.run, {"script": "SELECT pg_sleep(60)"}, "SELECT 1", 1)
        soon(lambda: ask(url, makers))
        everybody = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ask(url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {everybody}")
        with pytest.raises(InfraError):
            waiting.result()
    databases.close()


def test_a_server_that_does_not_answer_is_no_failure_of_the_agent(url, monkeypatch):
    monkeypatch.setattr(server, "CONNECT", 2)
    databases = Postgresql(url, 1, 0.2)
    databases._workers.grace = 0.5
    assert isinstance(databases.run(PRODUCTS, "SELECT 1", 1), Result)
    [(main,)] = ask(url, "SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)::int")
    os.kill(main, signal.SIGSTOP)
    try:
        with pytest.raises(InfraError, match="timeout"):
            databases.run(PRODUCTS, "SELECT 1", 1)
    finally:
        os.kill(main, signal.SIGCONT)
    databases.close()


def test_a_server_that_asks_for_passwords(caplog):
    with started() as url:
        [(rules,)] = ask(url, "SHOW hba_file")
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("ALTER ROLE agenttrain PASSWORD 'secret'")
            Path(rules).write_text("local all all scram-sha-256\n")
            admin.execute("SELECT pg_reload_conf()")
        soon(lambda: refuses(url))
        databases = Postgresql(url.replace("agenttrain@", "agenttrain:secret@"), 1, 5.0)
        assert isinstance(databases.run(PRODUCTS, "SELECT 1", 1), Result)
        databases.close()
    assert not caplog.text


def refuses(url):
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return True
    return False


def test_a_server_that_was_never_there_is_told_in_two_lines(tmp_path, monkeypatch):
    env = Sql(f"postgresql://agenttrain@/?host={tmp_path}")
    with pytest.raises(UserError, match=r"env\.server: (.|\n)*No such file(.|\n)*docs/sql\.md"):
        env.episode(TASK, 0).start()
    with pytest.raises(UserError, match=r"env\.server"):
        Sql("nonsense").episode(TASK, 0).start()
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UserError, match=r"pip install 'agenttrain\[postgresql\]'"):
        env.episode(TASK, 0).start()


def test_only_a_superuser_can_prepare(url, databases):
    databases.run(PRODUCTS, "SELECT 1", 1)
    with pytest.raises(UserError, match="superuser"):
        Postgresql(url.replace("agenttrain@", "agenttrain_maker@"), 1, 1.0).run(PRODUCTS, "SELECT 1", 1)
