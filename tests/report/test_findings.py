"""Each rule speaks where it should, and none does about a run that learns."""

import pytest

from agenttrain.report.findings import findings

STEPS = 20


def rows(**figures):
    """A run that learns, with some figures otherwise: a function of the step, from 0, or one value."""
    well = {
        "loss": 0.001,
        "grad_norm": 0.3,
        "success": lambda step: 0.2 + 0.03 * step,
        "entropy": lambda step: 0.5 - 0.01 * step,
        "invalid_calls": 0.02,
        "truncated": 0.05,
        "groups_without_variance": 0.3,
        "failed_by_us": 0,
        "episodes": 64,
        "env_seconds": 10.0,
        "policy_seconds": 30.0,
    }
    return [
        {name: value(step) if callable(value) else value for name, value in (well | figures).items()}
        for step in range(STEPS)
    ]


def test_a_run_that_learns_is_left_alone():
    assert findings(rows()) == []
    assert findings([]) == []
    assert findings(rows()[:1]) == []


@pytest.mark.parametrize(
    ("figures", "figure", "seen"),
    [
        ({"loss": lambda step: None if step == 7 else 0.1}, "loss", "no finite number in 1 step."),
        ({"grad_norm": lambda step: 0.3 * (step < 12)}, "grad_norm", "was 0 in the last 5 steps"),
        ({"failed_by_us": 6}, "failed_by_us", "120 of 1280 episodes failed"),
        ({"groups_without_variance": 0.9}, "groups_without_variance", "90% of the groups"),
        ({"success": 0.99, "groups_without_variance": 0.9}, "success", "99.0% of the episodes"),
        ({"entropy": lambda step: 0.5 if step < 10 else 0.01}, "entropy", "from 0.500 to 0.010 nats"),
        ({"invalid_calls": lambda step: 0.01 * step}, "invalid_calls", "from 2.0% to 17.0%"),
        ({"truncated": 0.4}, "truncated", "40% of the episodes"),
        ({"env_seconds": 90.0}, "env_seconds", "75% of their time"),
    ],
)
def test_a_fault_is_told_with_what_was_seen_and_what_to_do(figures, figure, seen):
    (found,) = findings(rows(**figures))
    assert (found.figure, seen in found.seen) == (figure, True), found
    assert len(found.advice) > 10


def test_what_is_learned_by_heart_is_told_where_it_shows_beyond_chance():
    def fall(to, tasks):
        return rows(heldout_success=lambda step: {0: 0.4, 10: 0.6, 19: to}.get(step), heldout_tasks=tasks)

    (found,) = findings(fall(0.4, 100))
    assert found.figure == "heldout_success"
    assert "from 60.0% to 40.0%" in found.seen
    assert findings(fall(0.4, 20)) == [], "so few tasks differ as much by chance"
    assert findings(fall(0.58, 100)) == []
    worse = [row | {"success": 0.5 - 0.01 * n} for n, row in enumerate(fall(0.4, 100))]
    assert "heldout_success" not in {found.figure for found in findings(worse)}, "what fell everywhere is not this"


def test_a_policy_that_is_sure_of_what_is_right_has_not_collapsed():
    sure = rows(entropy=lambda step: 0.5 if step < 10 else 0.01, success=0.95)
    assert findings(sure) == []


def test_a_figure_that_a_run_lacks_says_nothing():
    assert findings([{"step": step, "loss": 2.0} for step in range(STEPS)]) == []
