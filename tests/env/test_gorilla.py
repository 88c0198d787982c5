"""One answer, one verdict; what is shown follows the settings."""

import pytest

from agenttrain.env.gorilla import Gorilla
from agenttrain.errors import UserError
from agenttrain.gorilla.rat import Rat
from agenttrain.policy.gorilla_expert import GorillaExpert
from agenttrain.rollout import attempts, rollout
from agenttrain.task import gorilla
from agenttrain.types import Task

TASKS = list(gorilla.Gorilla("all", n=40))


def play(**settings):
    return list(rollout(attempts(TASKS), Gorilla(**settings), GorillaExpert()))


def call(task):
    return task.data["document"]["api_call"]


def facts(trajectory):
    return trajectory.turns[-1].observation.feedback


@pytest.mark.parametrize(
    "rat", [Rat(document="oracle"), Rat(document="oracle", doc_perturb=1.0)], ids=["as it is", "renamed"]
)
def test_whoever_reads_the_right_document_is_right(rat):
    ended = play(rat=rat)
    assert len(ended) == 40
    assert all(
        facts(one) == {"success": True, "accuracy": 1, "hallucination": 0, "error": 0, "retrieved": 1} for one in ended
    )


def test_whoever_is_shown_nothing_and_knows_nothing_errs():
    assert all(
        facts(one) == {"success": False, "accuracy": 0, "hallucination": 0, "error": 1, "retrieved": 0}
        for one in play(rat=Rat(document="none"))
    )


def test_a_wrong_document_leads_to_a_call_that_exists_but_is_wrong():
    ended = play(rat=Rat(document="mix", none=0.0, distractors=1.0))
    assert all(facts(one)["error"] == 1 and facts(one)["retrieved"] == 0 for one in ended)


def test_for_the_papers_scripts_a_call_of_the_same_domain_will_do():
    asked, *others = TASKS
    domain = asked.data["document"]["domain"]
    said = next(call(other) for other in others if other.data["document"]["domain"] == domain)
    for metric, accuracy in (("gorilla", 0), ("gorilla_legacy", 1)):
        seen = Gorilla(metric=metric).episode(asked, 0).step({"role": "assistant", "content": said})
        assert seen.feedback["accuracy"] == accuracy


def test_the_verdicts_sum_to_one_for_any_answer():
    for answer in ("", "visio.load('nobody')", call(TASKS[0]), call(TASKS[1]), "no idea", None):
        said = Gorilla().episode(TASKS[0], 0).step({"role": "assistant", "content": answer})
        assert sum(said.feedback[verdict] for verdict in ("accuracy", "hallucination", "error")) == 1
        assert said.done


def test_what_cannot_be_judged_is_an_error():
    with pytest.raises(UserError, match=r"env\.documents"):
        Gorilla().episode(Task("1", [{"role": "user", "content": "x"}], data={"document": {"api_call": "f('a')"}}), 0)
    with pytest.raises(UserError, match="task=gorilla"):
        Gorilla().episode(Task("1", [{"role": "user", "content": "x"}]), 0)
