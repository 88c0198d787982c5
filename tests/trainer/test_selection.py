from collections import Counter

import pytest

from agenttrain.trainer.selection import LEAST, Outcome, Selection, by_group, silent


def outcomes(*successes, group=0):
    return [Outcome(group, float(success), success, False) for success in successes]


def test_without_a_curriculum_the_plan_is_kept_and_others_come_in_its_place():
    some = Selection(10, seed=1)
    assert some.first([3, 1, 2], step=0) == [3, 1, 2]
    fresh = some.instead(4, {3, 1, 2}, step=0, round=0)
    assert len({*fresh}) == 4
    assert not {*fresh} & {1, 2, 3}
    assert fresh == Selection(10, seed=1).instead(4, {3, 1, 2}, step=0, round=0)
    assert fresh != some.instead(4, {3, 1, 2}, step=1, round=0)
    assert len(some.instead(99, {3, 1, 2}, step=0, round=1)) == 7  # no more than there are


def test_unknown_tasks_come_first_then_those_near_half_success():
    some = Selection(8, "success", seed=0)
    some.observe({task: outcomes(False, False) for task in range(5)})
    assert {*some.first([0] * 3, step=0)} == {5, 6, 7}
    some.observe({5: outcomes(True, False), 6: outcomes(True, True), 7: outcomes(True, True)})
    drawn = Counter(some.first([0], step)[0] for step in range(2000))
    share = drawn[5] / 2000
    expected = 1 / (1 + 7 * LEAST)
    assert abs(share - expected) < 4 * (expected * (1 - expected) / 2000) ** 0.5
    assert all(drawn[task] for task in range(8))  # none is given up


def test_success_is_remembered_and_failures_of_ours_tell_nothing():
    some = Selection(3, "success")
    some.observe({0: outcomes(True, True)})
    some.observe({0: outcomes(False, False), 1: [Outcome(0, 0.0, False, True)]})
    assert some.known == {0: 0.5}


@pytest.mark.parametrize(
    ("group", "quiet"),
    [
        (outcomes(True, True), True),
        (outcomes(True, False), False),
        (outcomes(True), True),
        ([], True),
        ([*outcomes(True, True), Outcome(0, 0.0, False, True)], True),
        ([Outcome(0, 0.0, False, True)] * 2, True),
        ([Outcome(0, 0.5, False, False), Outcome(0, 0.7, False, False)], False),
    ],
)
def test_a_group_is_silent_if_no_two_attempts_return_differently(group, quiet):
    assert silent(group) is quiet


def test_outcomes_of_all_processes_are_put_into_their_groups():
    first, second = outcomes(True, group=1), outcomes(False, True, group=0)
    assert by_group([*first, *second]) == {1: first, 0: second}
