"""Figures that belong together share a chart, and none that a run wrote is lost."""

from agenttrain.report.curves import charts


def by_title(found):
    return {chart["title"]: chart for chart in found}


def test_terms_of_the_reward_share_a_chart_and_an_unknown_figure_has_its_own():
    rows = [
        {"step": 1, "time": 9.0, "reward/a": 1, "reward/b": 2, "novel": 3},
        {"step": 2, "reward/a": 2, "novel": None},
    ]
    found = by_title(charts([rows]))
    assert set(found) == {"Reward by term", "novel"}
    assert [(line["figure"], line["points"]) for line in found["Reward by term"]["lines"]] == [
        ("reward/a", [[1, 1.0], [2, 2.0]]),
        ("reward/b", [[1, 2.0]]),
    ]
    assert (found["Reward by term"]["main"], found["novel"]["main"]) == (True, False)
    assert found["novel"]["lines"][0]["points"] == [[1, 3.0]]


def test_two_runs_share_every_chart_and_keep_their_own_steps():
    found = by_title(charts([[{"step": 1, "success": 0.5}], [{"step": 4, "success": 1}, {"step": 5, "kl": 0.1}]]))
    assert [(line["run"], line["points"]) for line in found["Success"]["lines"]] == [(0, [[1, 0.5]]), (1, [[4, 1.0]])]
    assert [line["run"] for line in found["KL to the reference"]["lines"]] == [1]


def test_a_run_without_a_course_has_no_chart():
    assert charts([[]]) == []
    assert charts([[{"step": 200, "success": 0.5}], []]) == []
