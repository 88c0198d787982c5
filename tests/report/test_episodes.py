"""The browser's entries: which episodes are kept, why one was dropped, and what its turns scored."""

from itertools import pairwise

import pytest

from agenttrain.report.episodes import LONGEST_TEXT, Kept, detail, entry
from agenttrain.report.tokens import Words
from agenttrain.types import Observation, Turn


def kept(most, episodes):
    found = Kept(most)
    for one in episodes:
        found.add(one)
    return found


def test_whole_groups_are_kept_evenly_over_the_run(episode):
    played = [episode("t", attempt, step=step) for step in range(100) for attempt in range(4)]
    found = kept(50, played)
    groups = list(found.groups())
    assert found.seen == 400
    assert len(found) == sum(map(len, groups)) <= 50
    assert {len(group) for group in groups} == {4}
    steps = [group[0].meta["step"] for group in groups]
    assert steps[0] == 0
    assert len({b - a for a, b in pairwise(steps)}) == 1
    assert steps[-1] > 80


def test_groups_may_come_interleaved_and_few_are_all_kept(episode):
    played = [episode(task, attempt) for attempt in (1, 0) for task in ("a", "b")]
    groups = list(kept(100, played).groups())
    assert [(t.task.id, t.attempt) for group in groups for t in group] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]


def test_an_episode_that_was_played_again_counts_once(episode):
    first, again = episode(stop="infra_error", error="no route"), episode()
    assert [[t.stop for t in group] for group in kept(10, [first, again]).groups()] == [["done"]]


@pytest.mark.parametrize(("stop", "told"), [("env_error", "environment"), ("infra_error", "endpoint")])
def test_a_dropped_episode_says_why(episode, stop, told):
    failed = episode(stop=stop, error="the disk was full")
    shown = entry(failed, [failed])
    assert (shown["outcome"], shown["silent"]) == ("left out", True)
    assert told in shown["why"]
    assert "the disk was full" in shown["why"]


def test_a_group_without_signal_says_so_and_counts_only_who_was_judged(episode):
    group = [episode(attempt=n, rewards=(0.0,), advantages=[0.0]) for n in range(3)] + [episode(stop="infra_error")]
    shown = entry(group[0], group)
    assert (shown["outcome"], shown["silent"]) == ("failure", True)
    assert "all 3 attempts of its group scored the same" in shown["why"]


def test_an_episode_that_teaches_has_nothing_to_explain(episode):
    shown = entry(episode(step=4), [episode(step=4)])
    assert (shown["outcome"], shown["silent"], shown["why"]) == ("success", False, "")
    assert (shown["step"], shown["return"], shown["turns"], shown["sampled"]) == (5, 1.0, 2, 4)


def test_outside_of_training_there_is_neither_step_nor_advantage(episode):
    plain = episode(rewards=(0.0,))
    plain.meta.clear()
    plain.scores = {}
    shown, told = entry(plain, [plain]), detail(plain, Words([]))
    assert (shown["step"], shown["return"], shown["silent"]) == (None, None, False)
    assert told["turns"][0]["advantage"] is None
    assert told["turns"][0]["scores"] == {"environment": 0.0}


def test_a_turn_has_its_rewards_by_term_its_advantage_and_its_tokens(episode):
    one = episode(advantages=[-0.5, 1.5])
    one.scores["format"] = [-1.0, 0.0]
    one.weights["format"] = 0.25
    told = detail(one, Words([]))
    turns = told["turns"]
    assert [turn["scores"] for turn in turns] == [{"outcome": 0.0, "format": -1.0}, {"outcome": 1.0, "format": 0.0}]
    assert [turn["advantage"] for turn in turns] == [-0.5, 1.5]
    assert turns[0]["entropy"] == pytest.approx(0.3)
    assert turns[0]["tokens"]["pieces"] == ["#20", "#21"]
    assert turns[0]["tokens"]["shown"] == "#10 #11"
    assert turns[0]["action"]["calls"] == [["go", '{"to": "in c1"}']]
    assert told["weights"] == {"format": 0.25}


def test_faults_of_turns_are_counted_for_the_filters(episode):
    one = episode(rewards=(0.0,) * 4)
    for turn, fact in zip(one.turns, ("invalid_call", "tool_error", "violations", "violations"), strict=True):
        turn.observation.feedback[fact] = ["fire"] if fact == "violations" else "no such tool"
    shown = entry(one, [one])
    assert (shown["invalid"], shown["errors"], shown["violations"]) == (1, 1, 2)


def test_a_seed_keeps_all_its_digits(episode):
    assert detail(episode(seed=7664176109129932017), Words([]))["seed"] == "7664176109129932017"


def test_texts_are_made_visible_and_cut_before_they_fill_the_file(episode):
    one = episode("a\x1b[2Jb", said="x" * (LONGEST_TEXT + 5))
    one.turns.append(Turn(one.turns[0].action, Observation([], feedback={"tool_error": "\u202egnihton"})))
    shown, told = entry(one, [one]), detail(one, Words([]))
    assert shown["task"] == r"a\x1b[2Jb"
    assert told["turns"][0]["observation"][0]["content"].endswith("x\n[5 characters left out]")
    assert told["turns"][2]["feedback"]["tool_error"] == r"\u202egnihton"
