import sqlite3
import time
from pathlib import Path

import pytest

from agenttrain.env.sql import Sql, same_rows
from agenttrain.errors import UserError
from agenttrain.task.sql import Sql as SqlTasks
from agenttrain.types import Environment, Episode, Task

SPIDER = Path(__file__).parents[3] / "shared" / "data" / "intercode"
TASK = next(task for task in SqlTasks("all") if "rows_of_product_have_price_above_50" in task.id)


@pytest.fixture
def env():
    env = Sql(seconds=0.5)
    yield env
    env._engine.close()


def act(name, *more, **arguments):
    calls = [{"function": {"name": name, "arguments": arguments}}, *more]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def opened(env, task=TASK):
    episode = env.episode(task, seed=0)
    episode.start()
    return episode


def text(observation):
    return observation.messages[0]["content"]


def test_an_episode_from_a_look_to_the_answer(env):
    episode = env.episode(TASK, seed=0)
    assert isinstance(episode, Episode)
    assert isinstance(env, Environment)
    opening = episode.start()[-1]["content"]
    assert opening.startswith("maker(id, name, city)\nproduct(id, name, price, stock, maker_id)\nHow many")
    assert TASK.answer not in opening
    look = episode.step(act("sql", query="SELECT name, price FROM product ORDER BY id LIMIT 2"))
    assert text(look).startswith("name | price\n")
    assert (look.feedback, look.done) == ({"rows": 2}, False)
    last = episode.step(act("submit", query=TASK.answer))
    assert (last.feedback, last.done, last.reward) == ({"success": True}, True, 1.0)


def test_the_right_number_found_by_chance_is_not_right(env):
    episode = opened(env)
    number = text(episode.step(act("sql", query=TASK.answer))).splitlines()[1]
    assert episode.step(act("submit", query=f"SELECT {number}")).feedback == {"success": False}


def test_equal_knowledge_is_one_state_whatever_the_order(env):
    queries = ["SELECT count(*) FROM product", "SELECT city FROM maker WHERE id = 1"]
    first, second = opened(env), opened(env)
    for query in queries:
        first.step(act("sql", query=query))
    for query in reversed(queries):
        second.step(act("sql", query=query))
    assert first.state == second.state != opened(env).state


def test_an_error_is_told_and_counted_and_the_episode_goes_on(env):
    episode = opened(env)
    failed = episode.step(act("sql", query="SELECT colour FROM product"))
    assert text(failed) == "Error: no such column: colour"
    assert failed.feedback == {"tool_error": "no such column: colour"}
    assert not failed.done
    bad = episode.step({"role": "assistant", "content": "hello"})
    assert "invalid_call" in bad.feedback
    many = episode.step(act("sql", *[{"function": {"name": "sql", "arguments": {}}}] * 999, query="SELECT 1"))
    assert [message["content"][:12] for message in many.messages[1:]] == ["Not executed"] * 999


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM product",
        "DROP TABLE product",
        "CREATE TEMP TABLE t (x)",
        "ATTACH 'other.db' AS other",
        "PRAGMA query_only = 0",
        "PRAGMA writable_schema = 1",
        "SELECT load_extension('x')",
        "SELECT writefile('x', 'y')",
        "VACUUM INTO 'copy.db'",
        "SELECT 1; DELETE FROM product",
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n",
        "SELECT printf('%.*c', 2000000000, 'x')",
        "SELECT hex(zeroblob(900000000))",
        "",
        "-- nothing",
    ],
)
def test_what_writes_or_never_ends_is_refused_and_changes_nothing(env, query, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    episode, began = opened(env), time.monotonic()
    refused = episode.step(act("sql", query=query))
    assert refused.feedback.get("tool_error"), refused
    assert time.monotonic() - began < 5
    assert not list(tmp_path.iterdir())
    assert episode.step(act("submit", query=TASK.answer)).feedback == {"success": True}
    assert opened(env).step(act("submit", query=query)).feedback == {"success": False}


def test_long_results_are_cut(env):
    everything = opened(env).step(act("sql", query="SELECT a.name FROM product a, product b"))
    assert text(everything).splitlines()[-1] == "..."
    assert len(text(everything).splitlines()) == 22
    small = Sql(max_chars=10)
    assert len(text(opened(small).step(act("sql", query="SELECT * FROM product")))) == 10
    small._engine.close()


@pytest.mark.parametrize(
    ("given", "gold", "ordered", "equal"),
    [
        ([(1, "a"), (2, "b")], [(2, "b"), (1, "a")], False, True),
        ([(1, "a"), (2, "b")], [(2, "b"), (1, "a")], True, False),
        ([("a", 1), ("b", 2)], [(1, "a"), (2, "b")], True, True),
        ([(1, 1), (1, 1)], [(1, 1)], False, False),
        ([(1, 2), (2, 1)], [(1, 1), (2, 2)], False, False),
        ([(1, 2, 3)], [(1, 2)], False, False),
        ([(1,)], [("1",)], False, False),
        ([], [], True, True),
        ([(None,)], [(None,)], False, True),
    ],
)
def test_results_are_compared_as_the_test_suite_does(given, gold, ordered, equal):
    assert same_rows(given, gold, ordered) is equal


def test_bird_compares_sets(env):
    bird = Sql(match="bird_ex")
    twice = f"{TASK.answer} UNION ALL {TASK.answer}"
    assert opened(bird).step(act("submit", query=twice)).feedback == {"success": True}
    assert opened(env).step(act("submit", query=twice)).feedback == {"success": False}
    bird._engine.close()


def test_a_file_of_ones_own(tmp_path):
    with sqlite3.connect(tmp_path / "pets.sqlite") as connection:
        connection.executescript("CREATE TABLE cat (name, age); INSERT INTO cat VALUES ('Tom', 3), ('Kit', 1)")
    connection.close()
    before = (tmp_path / "pets.sqlite").read_bytes()
    task = Task("q", [{"role": "user", "content": "How old is Tom?"}], "SELECT age FROM cat LIMIT 1", {"db": "pets"})
    env = Sql(databases=str(tmp_path))
    episode = env.episode(task, 0)
    assert episode.start()[-1]["content"] == "cat(name, age)\nHow old is Tom?"
    assert episode.step(act("submit", query="SELECT 3")).feedback == {"success": True}
    assert (tmp_path / "pets.sqlite").read_bytes() == before
    env._engine.close()
    with pytest.raises(UserError, match=r"no dogs\.sqlite in"):
        env.episode(Task("q", task.messages, "SELECT 1", {"db": "dogs"}), 0)
    with pytest.raises(UserError, match=r"env\.databases=FOLDER"):
        Sql().episode(task, 0)


def test_a_gold_query_that_fails_is_no_failure_of_the_agent(env):
    broken = Task("q", TASK.messages, "SELECT nothing FROM nowhere", TASK.data)
    with pytest.raises(ValueError, match="gold query of task q"):
        opened(env, broken).step(act("submit", query="SELECT 1"))


@pytest.mark.skipif(not SPIDER.is_dir(), reason="Spider's questions and databases do not lie beside the checkout")
@pytest.mark.parametrize("match", ["test_suite", "bird_ex"])
def test_all_of_spiders_gold_queries_score_1(match):
    env = Sql(databases=str(SPIDER / "spider_sqlite"), match=match)
    tasks = list(SqlTasks("all", questions=str(SPIDER / "ic_spider_dev.json")))
    right = [env.episode(task, 0).step(act("submit", query=task.answer)).feedback["success"] for task in tasks]
    env._engine.close()
    assert (len(right), sum(right)) == (1034, 1034)
