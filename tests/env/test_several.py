import pytest

from agenttrain.env.craft import Craft
from agenttrain.env.several import Several
from agenttrain.env.sql import Sql
from agenttrain.errors import UserError
from agenttrain.task.craft import Craft as CraftTasks
from agenttrain.task.several import Several as SeveralTasks
from agenttrain.types import Environment, Task

ENVS = {"craft": Craft(), "sql": Sql()}


def test_each_task_is_played_where_it_belongs():
    env = Several(ENVS)
    assert isinstance(env, Environment)
    tools = {
        task.data["env"]: [t["function"]["name"] for t in env.episode(task, 0).tools]
        for task in SeveralTasks({"craft": CraftTasks(n=2), "sql": _two_of_sql()})
    }
    assert tools == {"craft": ["get", "craft"], "sql": ["sql", "submit"]}


def test_a_task_of_no_environment_is_refused():
    with pytest.raises(UserError, match="Task t belongs to none of craft, sql"):
        Several(ENVS).episode(Task("t", []), 0)
    with pytest.raises(UserError, match="holds no environment"):
        Several({})


def _two_of_sql():
    from agenttrain.task.sql import Sql

    return Sql(n=2)
