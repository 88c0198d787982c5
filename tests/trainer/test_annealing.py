from itertools import pairwise

import pytest

from agenttrain.trainer.annealing import Annealing, Sampling

START, END = Sampling(1.5, 1.0), Sampling(0.5, 0.8)


def test_a_line_from_the_first_step_to_the_last():
    line = Annealing(START, END, steps=5)
    assert [line.at(step).temperature for step in range(5)] == pytest.approx([1.5, 1.25, 1.0, 0.75, 0.5])
    assert [line.at(step).top_p for step in (0, 4)] == pytest.approx([1.0, 0.8])
    assert Annealing(START, END, steps=1).at(0) == START


def test_half_a_cosine_is_slow_at_both_ends():
    curve = [Annealing(START, END, 9, "cosine").at(step).temperature for step in range(9)]
    steps = [before - after for before, after in pairwise(curve)]
    assert (curve[0], curve[4], curve[8]) == pytest.approx((1.5, 1.0, 0.5))
    assert steps[0] < 0.5 * steps[3]
    assert steps == pytest.approx(steps[::-1])
