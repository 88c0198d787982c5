import math

import pytest

from agenttrain.errors import UserError
from agenttrain.trainer.episodes import check_tasks, figures, light, schedule
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def episode(task: str, *feedback: dict, stop: str = "done", score: float = 0.0) -> Trajectory:
    turns = [
        Turn(Action({"content": "x"}, token_ids=[1], entropies=[0.5]), Observation([{}], feedback=f)) for f in feedback
    ]
    scores = {"r": [0.0] * (len(turns) - 1) + [score] * bool(turns)}
    return Trajectory(Task(task, [{"role": "user"}], answer="secret"), turns, stop, messages=[{}], scores=scores)


def test_a_schedule_passes_over_all_tasks_and_repeats_none_within_a_step():
    plan = schedule(7, per_step=3, steps=4, seed=0)
    assert [len(step) for step in plan] == [3, 3, 3, 3]
    assert all(len(set(step)) == 3 for step in plan)
    assert len({*plan[0], *plan[1]}) == 6, "one pass: the seventh is left out"
    assert set(plan[0]) | set(plan[1]) | set(plan[2]) | set(plan[3]) == set(range(7))


def test_a_longer_run_begins_as_a_shorter_one():
    assert schedule(9, 2, 8, seed=5)[:3] == schedule(9, 2, 3, seed=5) != schedule(9, 2, 3, seed=6)


def test_fewer_tasks_than_a_step_wants():
    with pytest.raises(UserError, match="tasks_per_step=4, but there are 1 tasks"):
        check_tasks([Task("a", [])], per_step=4)


def test_tasks_of_the_same_id_would_be_one_group():
    with pytest.raises(UserError, match="'a'"):
        check_tasks([Task("a", []), Task("b", []), Task("a", [])], per_step=2)


def test_a_light_trajectory_keeps_what_credit_needs_and_no_text():
    whole = episode("a", {}, {"success": True}, score=1.0)
    sent = light(whole)
    assert (sent.task.id, sent.stop, sent.turn_rewards, sent.success) == ("a", "done", [0.0, 1.0], True)
    assert sent.turns[0].action.entropies == [0.5]
    assert sent.task.answer is None
    assert not sent.task.messages
    assert not sent.messages
    assert not any(turn.action.token_ids or turn.observation.messages for turn in sent.turns)
    assert all(set(turn.action.message) == {"key"} for turn in sent.turns)
    assert whole.turns[0].action.token_ids == [1], "the original stays whole"


def test_figures_leave_out_what_we_failed():
    batch = [
        episode("a", {"invalid_call": "x"}, {"success": True}, score=1.0),
        episode("a", {"tool_error": "x"}, {}, stop="max_turns"),
        episode("b", {}, score=0.5),
        episode("b", {}, score=0.5),
        episode("b", {"invalid_call": "x"}, stop="env_error", score=9.0),
    ]
    shown = figures(batch, [[1.0, 1.0], [-1.0, -1.0], [0.0], [0.0], [0.0]])
    assert shown["success"] == 0.25
    assert shown["reward/r"] == 0.5
    assert shown["turns"] == 1.5
    assert shown["invalid_calls"] == pytest.approx(1 / 6)
    assert shown["tool_errors"] == pytest.approx(1 / 6)
    assert shown["truncated"] == 0.25
    assert shown["failed_by_us"] == 1
    assert shown["groups_without_variance"] == 0.5
    assert shown["advantage_std"] > 0


def test_figures_of_a_step_in_which_all_failed_are_unknown_and_not_0():
    shown = figures([episode("a", stop="infra_error")], [[]])
    assert math.isnan(shown["success"])
    assert math.isnan(shown["turns"])
    assert (shown["failed_by_us"], shown["lost_step"]) == (1, 1)


def test_violations_are_counted_by_principle_where_somebody_looked():
    unsafe = episode("a", {"violations": ["confirm", "secret"]}, {"violations": ["confirm"]})
    clean, failed = episode("a", {"violations": []}), episode("a", {"violations": ["secret"]}, stop="infra_error")
    shown = figures([unsafe, clean, failed], [[0.0, 0.0], [0.0], [0.0]])
    assert (shown["unsafe"], shown["violations/confirm"], shown["violations/secret"]) == (0.5, 1.0, 0.5)
    assert "unsafe" not in figures([episode("a", {})], [[0.0]])


def test_how_often_the_opposite_order_gave_the_opposite_ranking():
    batch = [episode("a", {}) for _ in range(3)]
    for trajectory, share in zip(batch[:2], (0.0, 0.5), strict=True):
        trajectory.meta["disagreement"] = {"ranking": share}
    assert figures([light(t) for t in batch], [[0.0]] * 3)["disagreement/ranking"] == 0.25
