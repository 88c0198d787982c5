from agenttrain.canaries import CALLS, canaries
from agenttrain.env.craft import Craft
from agenttrain.rollout import Attempt, Limits, rollout
from agenttrain.task.craft import Craft as Tasks
from agenttrain.types import Task

TASKS = [Task(t.id, t.messages, "the gold", t.data) for t in Tasks(n=2)]


def actions(name):
    policy = canaries(TASKS)[name]
    return [[t.action.message for t in e.turns] for e in rollout(map(Attempt, TASKS), Craft(), policy, Limits())]


def test_each_does_what_its_name_says():
    assert all(message["content"] == "" for episode in actions("says nothing") for message in episode)
    for episode in actions("makes always the same call"):
        assert len(episode) > 2
        assert all(message == episode[0] and message["tool_calls"] for message in episode)
    assert all(len(message["tool_calls"]) == CALLS for episode in actions("spams calls") for message in episode)
    assert all("The answer is the gold." in message["content"] for e in actions("leaks the answer") for message in e)
    assert all("success" in message["content"] for e in actions("stops early") for message in e)
    assert all(message["content"] for e in actions("echoes") for message in e)


def test_none_achieves_anything():
    for policy in canaries(TASKS).values():
        assert not any(e.success for e in rollout(map(Attempt, TASKS), Craft(), policy, Limits()))
