"""The template teacher asks for what the document says, and otherwise after a refusal."""

from agenttrain.env.self_instruct import SelfInstruct
from agenttrain.policy.self_instruct_expert import SelfInstructExpert
from agenttrain.rollout import attempts, rollout
from agenttrain.task import self_instruct
from agenttrain.types import Task


def requests(tasks, per_task=1):
    ended = rollout(attempts(tasks, per_task), SelfInstruct(), SelfInstructExpert())
    return [[turn.action.message["content"] for turn in trajectory.turns] for trajectory in ended]


def test_it_writes_a_request_for_every_invented_api():
    tasks = list(self_instruct.SelfInstruct(n=20))
    said = requests(tasks)
    assert all(len(turns) == 1 for turns in said)
    asked = {turns[0] for turns in said}
    assert all(any(task.data["document"]["functionality"] in request for request in asked) for task in tasks)


def test_attempts_at_one_document_are_worded_otherwise():
    assert len({turns[0] for turns in requests(self_instruct.SelfInstruct(n=1), per_task=20)}) > 3


def test_it_asks_for_the_domain_where_the_functionality_names_the_api():
    shown = '{"domain": "animals", "functionality": "BirdNet", "api_call": "hub.load(\'BirdNet\')"}'
    task = Task("1", [{"role": "user", "content": shown}], data={"document": {"api_call": "hub.load('BirdNet')"}})
    (turns,) = requests([task])
    assert ["BirdNet" in turns[0], "animals" in turns[1], len(turns)] == [True, True, 2]
