import json

import pytest

from agenttrain.eval.report import SCHEMA, evaluate, excluded, markdown, mixed, over_seeds, print_table, rows


@pytest.fixture
def episodes(episode):
    return [
        episode("a", 0, True, feedbacks=[{}] * 20),
        episode("a", 1, False),
        episode("b", 0, stop="infra_error", error="connection refused"),
        episode("b", 1, stop="max_turns", feedbacks=[{"f1": 0.25}]),
    ]


def test_an_evaluation_is_json_and_holds_what_pairing_needs(episodes):
    found = json.loads(json.dumps(evaluate(episodes, tasks=2, policy={"name": "x"}), allow_nan=False))
    assert found["schema"] == SCHEMA
    assert (found["tasks"], found["policy"]) == (2, {"name": "x"})
    assert found["results"] == {"a": [True, False], "b": [False]}
    assert found["success"]["value"] == 0.25
    assert found["pass_at"]["2"]["value"] == 1.0  # of task a, the only one with two judged attempts
    assert found["pass_hat"]["2"]["value"] == 0.0
    assert found["episodes"] == {"played": 4, "judged": 3, "tasks_judged": 2}
    assert found["stops"] == {"done": 2, "max_turns": 1, "infra_error": 1}


def test_a_run_in_which_only_the_server_failed_is_no_evaluation(episode):
    with pytest.raises(ValueError, match="no episode"):
        evaluate([episode(stop="infra_error")])


def test_the_report_says_what_was_left_out_and_how_episodes_ended(episodes):
    found = evaluate(episodes, tasks=2, attempts=2, env="craft", policy={"name": "m", "temperature": 0.0})
    text = markdown(found, episodes)
    assert text.startswith("# 25.0 % of the tasks solved\n\nm (temperature 0.0) in craft: 2 tasks, 2 attempts each.")
    assert excluded(found) in text
    assert "1 of 4 episodes failed through no fault of the agent (1 infra_error)" in text
    assert "| done | 2 | 1 |" in text
    assert "| f1 (told by the environment) | 0.25 |" in text


def test_versions_of_all_episodes_are_told_and_that_they_differ(episodes):
    assert mixed(evaluate(episodes)) == ""
    for episode, version in zip(episodes, ("15.4", None, "16.1", "15.4"), strict=True):
        if version:
            episode.meta["versions"] = {"python": "3.11", "PostgreSQL": version}
    found = evaluate(episodes)
    assert found["versions"]["PostgreSQL"] == "15.4 and 16.1"
    assert "the same versions: " in mixed(found)
    assert "PostgreSQL 15.4 and 16.1" in mixed(found)
    assert mixed(found) in markdown(found, episodes)


def test_examples_are_the_first_failed_and_the_first_successful_episode_abridged(episodes):
    text = markdown(evaluate(episodes), episodes)
    failed, successful = text.split("## A failed episode")[1].split("## A successful episode")
    assert "Task `a`, attempt 1: done after 1 turns." in failed
    assert "Task `a`, attempt 0: done after 20 turns." in successful
    assert "... 14 turns ..." in successful
    assert [n for n in range(20) if f"act {n}\n" in successful] == [0, 1, 2, 17, 18, 19]


def test_an_example_shows_calls_cuts_long_messages_and_cannot_break_out_of_its_fence(episode):
    one = episode("a", 0, True)
    call = {"type": "function", "id": "1", "function": {"name": "get", "arguments": {"item": "öl"}}}
    one.turns[0].action.message = {"role": "assistant", "content": "", "tool_calls": [call]}
    one.turns[0].observation.messages[0]["content"] = "```\n# not a title\n" + "x" * 2000
    text = markdown(evaluate([one]), [one])
    assert 'assistant: get{"item": "öl"}' in text
    assert "more characters)" in text
    assert "x" * 600 not in text
    assert text.count("````") == 2  # longer than any fence inside


def test_an_episode_that_failed_by_no_fault_of_the_agent_is_not_the_example_of_a_failure(episode):
    episodes = [episode("a", 0, stop="env_error", error="KeyError: 'x'"), episode("b", 0, False)]
    assert "Task `b`" in markdown(evaluate(episodes), episodes)


def test_pass_at_1_is_not_told_twice(episodes):
    names = [name for name, _ in rows(evaluate(episodes))]
    assert "pass@1" not in names
    assert {"pass@2", "pass^2"} <= set(names)


def test_a_table_without_a_terminal_is_plain_and_never_folded(capsys):
    print_table(("run", "success"), [("a" * 150, "1"), ("b", "2")])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[2] == "b" + " " * 151 + "2"


def test_of_several_environments_each_has_its_own_success(episode):
    episodes = [episode("a", success=True), episode("b"), episode("c", success=True)]
    found = evaluate(episodes, {"a": "craft", "b": "craft", "c": "sql"})
    assert {name: rate["value"] for name, rate in found["success_in"].items()} == {"craft": 0.5, "sql": 1.0}
    assert "success in craft" in dict(rows(found))
    assert evaluate(episodes)["success_in"] == {}


def test_of_many_attempts_the_table_has_powers_of_two_and_the_last(episode):
    found = evaluate([episode("a", n, n % 2 == 0) for n in range(11)])
    assert [name for name, _ in rows(found) if name.startswith("pass@")] == ["pass@2", "pass@4", "pass@8", "pass@11"]
    assert len(found["pass_at"]) == 11


def test_a_mean_over_seeds_has_students_interval_within_its_bounds():
    assert over_seeds([10.0, 20.0, 30.0]) == "20.0 (-4.8 to 44.8)"  # 4.303 * 10 / sqrt(3)
    assert over_seeds([10.0, 20.0, 30.0], ".0f", " %", low=0, high=40) == "20 % (0 to 40)"
    assert over_seeds([42.0], "+.1f") == "+42.0"
    assert over_seeds([1.0, float("nan")]) == "none"
