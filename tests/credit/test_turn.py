import itertools
import math

import numpy as np
import pytest

from agenttrain.credit.turn import Turn

from .episodes import episode

THETA, LONGEST = 0.3, 4
GO_ON = 1 / (1 + math.exp(-THETA))


def stop_or_continue(length: int) -> tuple[float, np.ndarray]:
    """Probability of an episode of `length` turns, and d log pi / d theta of each turn's choice."""
    chosen = [True] * (length - 1) + [False] * (length < LONGEST)
    probability = math.prod(GO_ON if go_on else 1 - GO_ON for go_on in chosen)
    scores = [1 - GO_ON if go_on else -GO_ON for go_on in chosen]
    return probability, np.array(scores + [0.0] * (length - len(scores)))


def expected_gradient(strategy, attempts: int) -> float:
    """Exact expectation over all groups of the policy gradient that the strategy's advantages give, per episode.

    Turn t pays 1 when it takes place, so what the choice at turn t earns begins at turn t + 1: the choice is credited
    with its turn's return, in which the 1 already paid is the same for both choices."""
    total = 0.0
    for lengths in itertools.product(range(1, LONGEST + 1), repeat=attempts):
        advantages = strategy([episode("a", [1.0] * length) for length in lengths])
        drawn = [stop_or_continue(length) for length in lengths]
        gradient = sum(np.dot(a, scores) for a, (_, scores) in zip(advantages, drawn, strict=True)) / attempts
        total += math.prod(p for p, _ in drawn) * gradient
    return total


def per_index(batch):
    """The usual form: centred over the attempts that reached the turn."""
    returns = [[sum(t.turn_rewards[k:]) for k in range(len(t.turns))] for t in batch]
    means = [np.mean([r[k] for r in returns if len(r) > k]) for k in range(max(map(len, returns)))]
    return [[g - m for g, m in zip(r, means, strict=False)] for r in returns]


@pytest.mark.parametrize("attempts", [2, 3, 5])
def test_the_gradient_of_stop_or_continue_is_exact(attempts):
    # J = 1 + p + p^2 + p^3, dp/dtheta = p (1 - p)
    exact = (1 + 2 * GO_ON + 3 * GO_ON**2) * GO_ON * (1 - GO_ON)
    assert exact == pytest.approx(0.767, abs=5e-4)
    assert expected_gradient(Turn(), attempts) == pytest.approx(exact, abs=1e-12)


def test_the_usual_form_is_biased_in_the_same_process():
    assert expected_gradient(per_index, 3) < 0.5


def test_hand_computed_group():
    # Returns to go 3 2 1 and 5 0 0 (the second stopped after its first turn); the others' mean is subtracted.
    assert Turn()([episode("a", [1, 1, 1]), episode("a", [5])]) == [[-2.0, 2.0, 1.0], [2.0]]


def test_gamma_discounts_per_turn():
    assert Turn(gamma=0.5)([episode("a", [0, 0, 4]), episode("a", [0])]) == [[1.0, 2.0, 4.0], [-1.0]]
