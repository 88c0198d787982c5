"""Episodes made of a task's annotated answer: run, shown, submitted; what fails is told and counted."""

import json
import re
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agenttrain import cli
from agenttrain.data.trajectories import Trajectories
from agenttrain.env.craft import Craft as CraftEnv
from agenttrain.env.hopqa import Hopqa as HopqaEnv
from agenttrain.env.sql import Sql as Env
from agenttrain.errors import UserError
from agenttrain.policy.answers import Answers
from agenttrain.rollout import attempts, rollout
from agenttrain.task.craft import Craft
from agenttrain.task.hopqa import Hopqa
from agenttrain.task.sql import Sql

SPIDER = Path(__file__).parents[3] / "shared" / "data" / "intercode"
PETS = [
    ("How many pets are there?", "SELECT count(*) FROM pet"),
    ("Which pets bark?", "SELECT name FROM dog"),
    ("Name the pets, oldest first.", "SELECT name FROM pet ORDER BY age DESC"),
    ("How old is Rex?", "SELECT age FROM pet WHERE name = 'Rex'"),
]
"""The second reference fails: there is no such table."""


@pytest.fixture
def pets(tmp_path):
    """Overrides that play the questions about the pets."""
    with sqlite3.connect(tmp_path / "home.sqlite") as home:
        home.executescript("CREATE TABLE pet(name TEXT, age INT); INSERT INTO pet VALUES ('Rex', 4), ('Tom', 9);")
    home.close()
    records = [{"db_id": "home", "question": question, "query": query} for question, query in PETS]
    (tmp_path / "pets.json").write_text(json.dumps(records))
    return [f"task.questions={tmp_path}/pets.json", f"env.databases={tmp_path}", "task.split=all"]


def play(policy, tasks, env):
    return list(rollout(attempts(tasks), env, policy))


def test_the_reference_is_run_shown_and_submitted():
    tasks = Sql("train", n=3)
    for episode in play(Answers(tasks), tasks, Env()):
        looked, submitted = (turn.action.message["tool_calls"][0]["function"] for turn in episode.turns)
        assert looked == {"name": "sql", "arguments": {"query": episode.task.answer}}
        assert submitted == {"name": "submit", "arguments": {"query": episode.task.answer}}
        assert episode.turns[0].observation.feedback["rows"] >= 1
        assert episode.success
        assert json.dumps(episode.task.answer) not in json.dumps(episode.messages)  # it was told, not shown


def test_another_environment_takes_the_answer_by_its_own_tool():
    tasks = Hopqa(n=5)
    assert all(episode.success for episode in play(Answers(tasks, ["finish"]), tasks, HopqaEnv()))


def test_a_reference_that_fails_is_counted_and_costs_no_other(pets, tmp_path):
    words = ["generate-trajectories", "env=sql", "policy=answers", *pets, f"out={tmp_path}/out"]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    assert re.search(r"stops +done 3, env_error 1", done.stdout)
    reason = "the gold query of task pets/2 cannot be compared with: no such table: dog"
    assert reason in (tmp_path / "out/report.md").read_text()
    data = Trajectories(str(tmp_path / "out/trajectories.jsonl"))
    assert len(list(data)) == data.report.kept == 3
    assert data.report.dropped == {"ended by env_error": 1}


def test_it_follows_the_tasks_that_are_played(pets, tmp_path):
    words = ["env=sql", "policy=answers", *pets, f"out={tmp_path}/out", "task.seed=3", "task.n=2"]
    assert CliRunner().invoke(cli.app, ["eval", *words]).exit_code == 0
    with pytest.raises(UserError, match="acts in commands that play tasks"):
        play(Answers(), Sql(n=1), Env())


def test_what_it_cannot_play_is_refused():
    tasks = Sql(n=1)
    with pytest.raises(UserError, match="names no tool"):
        Answers(tasks, [])
    with pytest.raises(UserError, match=r"policy\.tools names finish, but the tools here are: sql, submit"):
        play(Answers(tasks, ["finish"]), tasks, Env())
    with pytest.raises(UserError, match=r"goes on after sql: policy\.tools lacks its end"):
        play(Answers(tasks, ["sql"]), tasks, Env())
    with pytest.raises(UserError, match="no answer in words to craft/"):
        play(Answers(Craft(n=1), ["get"]), Craft(n=1), CraftEnv())
    with pytest.raises(UserError, match="no answer in words to other#0"):
        play(Answers(tasks), [replace(next(iter(tasks)), id="other")], Env())


@pytest.mark.skipif(not SPIDER.is_dir(), reason="Spider's development set is not here")
def test_references_of_spider_make_trajectories():
    tasks = Sql("all", n=20, questions=str(SPIDER / "ic_spider_dev.json"))
    episodes = play(Answers(tasks), tasks, Env(databases=str(SPIDER / "spider_sqlite")))
    assert [episode.success for episode in episodes] == [True] * 20
