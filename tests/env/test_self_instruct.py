"""A request is accepted if it does not name the API; another is answered with the reason."""

import pytest

from agenttrain.env.self_instruct import SelfInstruct
from agenttrain.errors import UserError
from agenttrain.types import Task

TASK = Task("1", [{"role": "user", "content": "x"}], data={"document": {"api_call": "hub.load('a/birdnet-7')"}})


def say(episode, text):
    return episode.step({"role": "assistant", "content": text})


def test_a_request_that_names_the_api_is_refused_and_the_next_may_be_accepted():
    episode = SelfInstruct().episode(TASK, 0)
    refused = say(episode, "Load birdnet-7.")
    assert (refused.done, refused.reward, refused.feedback) == (
        False,
        0.0,
        {"success": False, "refused": "names the API"},
    )
    assert "names the API" in refused.messages[0]["content"]
    assert say(episode, "").feedback["refused"] == "empty"
    accepted = say(episode, "Which bird sings here?")
    assert (accepted.done, accepted.reward, accepted.feedback) == (True, 1.0, {"success": True})


def test_a_task_without_a_document_is_an_error():
    with pytest.raises(UserError, match="task=self_instruct"):
        SelfInstruct().episode(Task("1", []), 0)
