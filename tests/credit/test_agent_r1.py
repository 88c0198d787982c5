import numpy as np

from agenttrain.credit.agent_r1 import AgentR1
from agenttrain.credit.gae import Gae

from .episodes import episode, random_batch


def test_without_process_rewards_it_is_gae():
    batch = random_batch(2)
    assert AgentR1(gamma=0.9, lam=0.8)(batch) == Gae("turn", gamma_turn=0.9, lam_turn=0.8)(batch)
    assert AgentR1(level="token", gamma=0.9)(batch) == Gae("token", gamma=0.9, lam=1.0)(batch)


def test_process_rewards_weigh_at_most_one_outcome_whatever_their_number():
    values = [[0.0], [0.0], [0.0]]
    batch = [
        episode("a", [0.0, 0.0, 1.0], values=values, calls=[2.0, 2.0, 0.0]),
        episode("a", [0.0], values=values[:1], calls=[-1.0]),
    ]
    credit = AgentR1(process=["calls"])
    # Still to come of the calls: 4 2 0 and -1: all are divided by 4.
    targets = [[token for turn in row for token in turn] for row in credit.targets(batch)]
    assert np.allclose(targets[0], [2.0, 1.5, 1.0])
    assert np.allclose(targets[1], [-0.25])


def test_a_batch_without_process_scores_is_not_divided_by_nothing():
    batch = [episode("a", [1.0], values=[[0.0]], calls=[0.0]), episode("a", [0.0], values=[[0.0]], calls=[0.0])]
    assert np.allclose(np.concatenate(AgentR1(process=["calls"])(batch)), [2**-0.5, -(2**-0.5)], atol=1e-6)
