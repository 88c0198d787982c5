from agenttrain.card.preference import share_right, value


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
