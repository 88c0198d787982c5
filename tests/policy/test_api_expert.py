import pytest

from agenttrain.env.api import Api
from agenttrain.errors import UserError
from agenttrain.policy.api_expert import ApiExpert
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.services.trade import SEEN, UNSEEN
from agenttrain.task.api import Api as ApiTasks
from agenttrain.types import Conversation


@pytest.mark.parametrize("service", [trade.name for trade in (*SEEN, *UNSEEN)])
def test_it_fulfils_every_wish_without_a_call_that_fails(service):
    tasks = ApiTasks("all", services=[service], copies=1)
    ended = list(rollout(attempts(tasks), Api(), ApiExpert(), Limits(max_turns=30)))
    assert len(ended) > 100
    assert all(episode.success for episode in ended)
    assert not [turn for e in ended for turn in e.turns if "tool_error" in turn.observation.feedback]


def test_it_errs_as_often_as_told():
    ended = list(rollout(attempts(ApiTasks(n=60)), Api(), ApiExpert(error=0.2), Limits()))
    turns = [turn for episode in ended for turn in episode.turns]
    looks = sum("tool_error" in turn.observation.feedback for turn in turns)
    given_up = sum(
        t.action.message["tool_calls"][0]["function"]["arguments"].get("answer") == "I do not know" for t in turns
    )
    assert 0.1 < (looks + given_up) / len(turns) < 0.3
    assert looks
    assert 0 < sum(episode.success for episode in ended) < 60


def test_another_wish_is_refused():
    conversation = Conversation("c", [{"role": "user", "content": "Sing."}], [], seed=1)
    with pytest.raises(UserError, match=r"only wishes at invented services, not: Sing\."):
        ApiExpert().act(conversation)
