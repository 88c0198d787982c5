"""Several experts, each acting where its own tools are offered."""

import pytest

from agenttrain.config.compose import compose
from agenttrain.errors import UserError
from agenttrain.policy.craft_expert import CraftExpert
from agenttrain.policy.hopqa_expert import HopqaExpert
from agenttrain.policy.search_expert import SearchExpert
from agenttrain.policy.several import Several
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.types import Conversation

NAMES = ("api", "code", "corridor", "craft", "hopqa", "search", "sql", "web")


def test_every_environment_is_solved_by_the_expert_of_its_own():
    chosen = compose("generate-trajectories", [f"env=[{','.join(NAMES)}]", "task.n=16", "rollout.max_turns=60"])
    made = chosen.call().keywords
    limits = Limits(max_turns=60, concurrency=4, tool_timeout=120)
    played = list(rollout(attempts(made["task"]), made["env"], made["policy"], limits))
    assert {t.task.data["env"] for t in played} == set(NAMES)
    assert [t.task.id for t in played if not t.success] == []


def conversation(*tools):
    offered = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in tools]
    return Conversation("c", [], offered, seed=0)


class Named(CraftExpert):
    def __init__(self, calls, name):
        super().__init__()
        self.calls, self.name = frozenset(calls), name

    def act(self, conversation):
        return {"role": "assistant", "content": self.name}


def test_where_the_tools_of_two_are_offered_it_is_the_expert_of_more():
    few, more = Named(["search", "finish"], "few"), Named(["search", "read", "finish"], "more")
    for of in ({"a": few, "b": more}, {"b": more, "a": few}):
        assert Several(of).act(conversation("search", "read", "finish"))["content"] == "more"
        assert Several(of).act(conversation("search", "finish"))["content"] == "few"
    assert HopqaExpert.calls < SearchExpert.calls


def test_what_nobody_knows_is_told():
    with pytest.raises(UserError, match=r"No expert of craft calls these tools: open, shut\."):
        Several({"craft": CraftExpert()}).act(conversation("shut", "open"))
    with pytest.raises(UserError, match="holds no expert"):
        Several({})
    with pytest.raises(UserError, match="an expert of x that says which tools"):
        Several({"x": Named([], "x")})
