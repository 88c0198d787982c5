import pytest

from agenttrain.env.search import Search
from agenttrain.errors import UserError
from agenttrain.policy.search_expert import SearchExpert
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.task.search import Search as Questions
from agenttrain.types import Conversation


def play(split="all", **settings):
    tasks = Questions(split=split, n=40, entries=400)
    return list(rollout(attempts(tasks), Search(), SearchExpert(**settings), Limits(max_turns=12)))


def test_it_answers_every_question_and_reads_what_it_must():
    played = play()
    assert all(trajectory.success for trajectory in played)
    assert all(sum(turn.observation.feedback.get("found", False) for turn in t.turns) == 2 for t in played)
    assert {len(trajectory.turns) for trajectory in played} <= {4, 5}


def test_it_errs_as_often_as_told():
    assert not any(trajectory.success for trajectory in play(error=1.0))
    some = sum(trajectory.success for trajectory in play(error=0.3))
    assert 10 < some < 40


def test_another_question_is_refused():
    conversation = Conversation("c", [{"role": "user", "content": "How are you?"}], [], seed=0)
    with pytest.raises(UserError, match="reads only questions about the encyclopaedia"):
        SearchExpert().act(conversation)
