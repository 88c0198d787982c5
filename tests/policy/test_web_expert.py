import pytest

from agenttrain.env.web import Web
from agenttrain.errors import UserError
from agenttrain.policy.web_expert import WebExpert, read_sentence
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.task.web import Web as WebTasks
from agenttrain.worlds.shop import CODE, goals, shop


@pytest.mark.parametrize("split", ["train", "heldout", "unseen"])
def test_it_reaches_every_goal(split):
    tasks = list(WebTasks(split, n=20, seed=1))
    done = list(rollout(attempts(tasks), Web(), WebExpert(), Limits(concurrency=8)))
    assert [trajectory.task.id for trajectory in done if not trajectory.success] == []
    assert max(len(trajectory.turns) for trajectory in done) < 40


def test_it_looks_further_when_a_product_does_not_fit():
    task = next(t for t in WebTasks("all") if "warm and lined" in t.messages[-1]["content"])
    [trajectory] = rollout(attempts([task]), Web(), WebExpert())
    tools = [turn.action.message["tool_calls"][0]["function"]["name"] for turn in trajectory.turns]
    assert trajectory.success
    assert "back" in tools


def test_it_errs_as_often_as_told():
    tasks = list(WebTasks(n=15))
    done = list(rollout(attempts(tasks), Web(), WebExpert(error=0.15), Limits(max_turns=30)))
    clean = list(rollout(attempts(tasks), Web(), WebExpert(), Limits(max_turns=30)))
    assert sum(t.success for t in done) < sum(t.success for t in clean) == 15


@pytest.mark.parametrize("unseen", [False, True])
def test_it_reads_every_sentence_as_it_was_meant(unseen):
    for goal in goals(shop(0, unseen), 0):
        wish = read_sentence(goal.sentence)
        fields = {label: value for label, value in goal.fields.items() if label != CODE}
        assert (wish.subject, wish.price, wish.traits) == (goal.subject, goal.price, goal.traits)
        assert wish.fields == {**goal.options, **fields}
        assert wish.look_up == (CODE in goal.fields)


def test_another_sentence_is_refused():
    with pytest.raises(UserError, match="reads only sentences of task=web"):
        read_sentence("Buy a lamp.")
