"""The decision processes: their exact gradients are what everything in tests/bench and credit-check is held to."""

from dataclasses import replace

import numpy as np
import pytest

from agenttrain.process.chain import Chain
from agenttrain.process.fog import Fog
from agenttrain.process.luck import Luck
from agenttrain.process.stop_or_continue import StopOrContinue

PROCESSES = [
    StopOrContinue(),
    StopOrContinue(turns=6, shared=False),
    Chain(),
    Chain(rooms=4),
    Fog(),
    Fog(cells=3),
    Luck(),
]


@pytest.fixture(params=PROCESSES, ids=str)
def mdp(request):
    return request.param.mdp()


def test_its_probabilities_sum_to_one_and_every_state_has_a_key_of_its_own(mdp):
    assert mdp.start.sum() == pytest.approx(1)
    assert np.allclose(mdp.move.sum(axis=2), 1)
    assert len(set(mdp.keys)) == len(mdp.start)


def test_the_gradient_is_that_of_finite_differences(mdp):
    step, found = 1e-5, []
    for place in range(mdp.logits.size):
        change = np.zeros(mdp.logits.size)
        change[place] = step
        up, down = (replace(mdp, logits=mdp.logits + s * change.reshape(mdp.logits.shape)) for s in (1, -1))
        found.append((up.expected_return - down.expected_return) / (2 * step))
    assert np.allclose(mdp.gradient, found, atol=1e-9)


def test_drawn_episodes_earn_what_is_expected(mdp):
    draws = mdp.draw(20_000, np.random.default_rng(0))
    played = np.arange(mdp.deadline) < draws.length[:, None]
    rewards = sum(mdp.rewards.values())[draws.state, draws.action, draws.following] * played
    returns = rewards.sum(axis=1)
    assert abs(returns.mean() - mdp.expected_return) < 4 * returns.std() / len(returns) ** 0.5


def test_stop_or_continue_has_the_gradient_of_its_closed_form():
    p = 1 / (1 + np.exp(-0.3))
    assert StopOrContinue().mdp().gradient == pytest.approx([p * (1 - p) * (1 + 2 * p + 3 * p**2)])
    assert StopOrContinue().mdp().gradient == pytest.approx([0.767], abs=5e-4)
    assert StopOrContinue(shared=False).mdp().gradient.sum() == pytest.approx(0.767, abs=5e-4)


def test_what_is_done_in_the_fog_does_not_matter():
    gradient = Fog().mdp().gradient.reshape(-1, 2)
    assert np.allclose(gradient[-1], 0)
    assert (abs(gradient[:-1]) > 0.01).all()


def test_luck_changes_no_gradient():
    assert np.allclose(Luck(size=0.0).mdp().gradient, Luck(size=5.0).mdp().gradient)
