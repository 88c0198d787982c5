import pytest

from agenttrain.card.preference import pattern, share_right, stopping_gain, told_apart, value


def test_the_return_pays_length_and_the_mean_does_not():
    assert value([1.0, 0.0, 2.0], "return") == 3.0
    assert value([1.0, 0.0, 2.0], "mean_step") == 1.0


def test_successes_above_the_best_failure_or_pairs():
    assert share_right([3.0, 1.0], [0.0, 2.0], "above_best_failure") == 0.5
    assert share_right([3.0, 1.0], [0.0, 2.0], "pair_accuracy") == 0.75


def test_a_tie_is_not_right():
    assert share_right([1.0], [1.0], "above_best_failure") == share_right([1.0], [1.0], "pair_accuracy") == 0.0


def test_one_kind_alone_decides_nothing():
    assert share_right([1.0], [], "pair_accuracy") is None
    assert share_right([], [1.0], "above_best_failure") is None


def test_failures_are_told_apart_by_their_values():
    assert told_apart([0.0, 1.0, 2.0]) == 1.0
    assert told_apart([0.0, 0.0, 1.0]) == pytest.approx(2 / 3)
    assert told_apart([0.1 + 0.2, 0.3]) == told_apart([1.0]) == told_apart([]) == 0.0


def test_what_stopping_gains_is_what_would_have_been_taken_back():
    successes = [[1.0, 1.0], [2.0]]
    assert stopping_gain(successes, [[0.5, 0.0], [0.0, 0.5]]) == 0.0
    # 1 and 0.5 at their best turns, 0 and 0 in the end; the first turn is always played.
    assert stopping_gain(successes, [[0.5, 0.5, -1.0], [0.5, -0.5]]) == pytest.approx(0.75 / 2)
    assert stopping_gain([[0.0]], [[-1.0, -1.0]]) == pytest.approx(1 / 2)
    assert stopping_gain([[0.0]], [[1.0, -0.5]]) is None, "successes earn less"
    assert stopping_gain([], [[1.0]]) is stopping_gain([[1.0]], []) is None


def test_each_kind_of_bad_value_is_called_by_its_name():
    won, turns = [True] * 8 + [False] * 8, [3, 5, 4, 6] * 4
    upside_down = pattern([0.0] * 8 + [1.0] * 8, turns, won)
    assert pattern([2.0] * 16, turns, won) == "every trajectory gets the same, 2"
    assert "successes stand below failures" in upside_down
    assert "number of turns" not in upside_down
    chance = pattern([3.0, 5.0, 4.0, 6.0] * 4, turns, won)
    assert "probability 0.50, no better than chance" in chance
    assert "goes by the number of turns (correlation 1.00)" in chance
    assert pattern([1.0] * 7 + [0.0] * 9, turns, won).endswith("probability 0.94")
