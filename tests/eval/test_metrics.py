import pytest

from agenttrain.eval.metrics import cost, facts, figures, judged, results, stops


@pytest.fixture
def episodes(episode):
    used = {"prompt_tokens": 10, "completion_tokens": 4}
    return [
        episode("a", 0, True, feedbacks=[{}, {"tool_error": "no such item"}, {"f1": 0.2}, {"f1": 1.0}], usage=used),
        episode("a", 1, stop="max_turns", feedbacks=[{"invalid_call": "unknown tool"}] * 2, usage=used),
        episode("b", 0, stop="timeout", feedbacks=[{}, {"timeout": "no answer"}], seconds=4.0),
        episode("b", 1, False, feedbacks=[{"f1": 0.5, "found": True}]),
        episode("c", 0, stop="infra_error", feedbacks=[{"invalid_call": "x"}] * 9, error="refused"),
        episode("a", 2, stop="env_error", feedbacks=[]),
    ]


def test_failures_that_are_not_the_agents_are_no_failed_attempts(episodes):
    assert len(judged(episodes)) == 4
    assert results(episodes) == {"a": [True, False], "b": [False, False]}  # task c is not a failed task
    assert stops(episodes) == {"done": 2, "max_turns": 1, "timeout": 1, "env_error": 1, "infra_error": 1}


def test_results_are_in_the_order_of_attempts_whatever_the_order_of_ends(episode):
    ended = [episode("a", 2, True), episode("a", 0, False), episode("a", 1, True)]
    assert results(ended) == {"a": [False, True, True]}


def test_figures_by_hand(episodes):
    found = figures(episodes)
    assert found["turns"] == (4 + 2 + 2 + 1) / 4
    assert found["turns_of_successes"] == 4
    assert found["invalid_calls"] == 2 / 9  # of all turns; those of the failed server do not count
    assert found["tool_errors"] == 1 / 9
    assert (found["max_turns"], found["timeout"], found["max_tokens"], found["parse_error"]) == (0.25, 0.25, 0, 0)
    assert (found["tokens"], found["prompt_tokens"]) == ((16 + 8) / 2, (40 + 20) / 2)  # where the policy counts them
    assert found["seconds"] == 1.0


def test_cost_by_hand(episode):
    used = {"prompt_tokens": 1000, "completion_tokens": 100}
    paid = [
        episode("a", 0, True, feedbacks=[{}, {}], usage=used),
        episode("a", 1, False, feedbacks=[{}], usage=used),
        episode("b", 0, stop="infra_error", feedbacks=[{}], usage=used, error="refused"),
    ]
    found = cost(paid, prompt=3.0, completion=15.0)
    assert found == pytest.approx({"total": 4 * 0.0045, "episode": 4 * 0.0045 / 3, "success": 4 * 0.0045})
    assert cost(paid[1:], 3.0, 15.0)["success"] is None
    unknown = [*paid, episode("c", 0, True, feedbacks=[{}])]
    assert set(cost(unknown, 3.0, 15.0).values()) == {None}, "what is not known is not free"


def test_a_fact_of_the_environment_counts_with_its_last_value(episodes):
    assert facts(episodes) == {"f1": 0.75}  # `found` and `success` are no numbers


def test_nothing_to_average_is_none_and_not_zero(episode):
    found = figures([episode(stop="infra_error")])
    assert set(found.values()) == {None}
    assert figures([episode(success=False)])["turns_of_successes"] is None
