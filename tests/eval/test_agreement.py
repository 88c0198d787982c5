"""The arithmetic, against examples that were worked by hand."""

import random

import pytest

from agenttrain.eval.agreement import kappa, kappa_within, rank_correlation, same_answers


def test_kappa_is_that_of_a_table_worked_by_hand():
    """Of 50: 0.7 are the same; by chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5; (0.7 - 0.5) / (1 - 0.5)."""
    answers = [("good", "good")] * 20 + [("good", "bad")] * 5 + [("bad", "good")] * 10 + [("bad", "bad")] * 15
    assert kappa(answers) == pytest.approx(0.4)
    assert kappa([(b, a) for a, b in answers]) == pytest.approx(0.4)


def test_kappa_is_1_for_the_same_0_for_chance_and_below_for_contradiction():
    assert kappa([("a", "a"), ("b", "b")]) == 1
    assert kappa([("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")]) == 0
    assert kappa([("a", "b"), ("b", "a")]) == -1
    assert kappa([("a", "a")] * 9) is None, "who always says the same has not been seen to tell anything"


def test_of_marks_a_larger_difference_counts_for_more():
    """Squares: (0 + 1 + 0) / 3 as given; by chance of {1, 2, 3} and {1, 3, 3}: (8 + 3 + 4) / 9. 1 - (1/3) / (5/3)."""
    assert kappa([(1, 1), (2, 3), (3, 3)], ordered=True) == pytest.approx(0.8)
    near, far = [(1, 2), (5, 5), (1, 1), (5, 5)], [(1, 5), (5, 5), (1, 1), (5, 5)]
    assert kappa(near) == pytest.approx(0.6)
    assert kappa(near, ordered=True) == pytest.approx(1 - (1 / 4) / (116 / 16))
    assert kappa(far, ordered=True) == pytest.approx(1 - (16 / 4) / (128 / 16))


def two_people(rng, tasks, questions, alike):
    """Two answers, as common as each other, by people who answer a question alike with a chance of the task's own."""
    names, answers = [], []
    for task in range(tasks):
        together = rng.uniform(max(0.0, 2 * alike - 1), min(1.0, 2 * alike))
        for _ in range(questions):
            one = rng.choice("ab")
            names.append(f"{task}")
            answers.append((one, one if rng.random() < together else rng.choice("ab")))
    return names, answers


@pytest.mark.parametrize(("tasks", "alike"), [(12, 0.4), (20, 0.7), (40, 0.7), (40, 0.0)])
def test_the_interval_of_kappa_holds_the_true_one_as_often_as_it_says(tasks, alike):
    """By the way answers are drawn, kappa is the chance that two answer alike but by chance."""
    rng, found = random.Random(0), []
    for _ in range(400):
        low, high = kappa_within(*two_people(rng, tasks, 4, alike))
        found.append(low <= alike <= high)
    assert 0.91 <= sum(found) / 400 <= 0.99


def test_kappa_has_no_interval_where_tasks_tell_nothing_apart():
    assert kappa_within(["a", "b", "c"], [("x", "x"), ("y", "y"), ("y", "y")]) is None, "they always agree"
    assert kappa_within(["a"] * 4, [("x", "x"), ("y", "x"), ("y", "y"), ("x", "x")]) is None, "a single task"
    assert kappa_within(["a", "b"], [("x", "x"), ("y", "y")]) is None, "without one of them there is no kappa"


def test_of_marks_the_interval_is_that_of_the_weighted_kappa():
    tasks, marks = [f"{n}" for n in range(8)], [(1, 2), (5, 5), (3, 1), (2, 2), (4, 5), (1, 1), (5, 4), (3, 3)]
    low, high = kappa_within(tasks, marks, ordered=True)
    assert -1 <= low < kappa(marks, ordered=True) < high <= 1
    assert (low, high) != kappa_within(tasks, marks)


def test_marks_in_the_same_order_correlate_however_high_they_are():
    assert rank_correlation([(1, 3), (2, 4), (3, 5)]) == pytest.approx(1)
    assert rank_correlation([(1, 5), (2, 4), (3, 3)]) == pytest.approx(-1)
    # Ranks 1, 2, 3, 4 and 2, 1, 4, 3: 1 - 6 * 4 / (4 * 15).
    assert rank_correlation([(1, 2), (2, 1), (3, 5), (4, 4)]) == pytest.approx(0.6)
    assert rank_correlation([(1, 3), (2, 3)]) is None


def test_a_task_with_many_questions_says_no_more_than_another():
    rate = same_answers(["a"] * 8 + ["b"], [("x", "x")] * 8 + [("x", "y")])
    assert rate.value == 0.5
    assert (rate.low, rate.high) != (0, 1)
    assert 0 <= rate.low < 0.5 < rate.high <= 1
