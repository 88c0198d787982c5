import math

import numpy as np
import pytest

from agenttrain.credit.gae import Gae
from agenttrain.errors import UserError

from .episodes import episode, random_batch


def plain(rewards, values, gamma, lam):
    """The definition: the sum of all later deltas, each with its weight."""
    values = [*values, 0.0]
    deltas = [r + gamma * values[t + 1] - values[t] for t, r in enumerate(rewards)]
    return [
        sum((gamma * lam) ** (k - t) * delta for k, delta in enumerate(deltas) if k >= t) for t in range(len(rewards))
    ]


def flat(rows):
    return [value for row in rows for value in row]


EPISODE = episode("a", [1.0, 0.0, 2.0], values=[[0.5, 0.1], [0.3], [0.2, 0.4, 0.6]])


def test_turns_take_the_value_before_their_first_token():
    found = Gae("turn", gamma_turn=0.9, lam_turn=0.8, whiten=False)([EPISODE])
    assert np.allclose(found[0], plain([1.0, 0.0, 2.0], [0.5, 0.3, 0.2], 0.9, 0.8))


def test_tokens_are_one_time_axis_with_a_turns_reward_on_its_last_token():
    found = Gae("token", gamma=0.9, lam=0.8, whiten=False)([EPISODE])
    assert [len(turn) for turn in found[0]] == [2, 1, 3]
    wanted = plain([0, 1.0, 0.0, 0, 0, 2.0], [0.5, 0.1, 0.3, 0.2, 0.4, 0.6], 0.9, 0.8)
    assert np.allclose(flat(found[0]), wanted)


def test_bilevel_goes_over_turn_ends_first_and_then_within_each_turn():
    found = Gae("bilevel", gamma=0.9, lam=0.8, gamma_turn=0.95, lam_turn=0.7, whiten=False)([EPISODE])[0]
    ends = plain([1.0, 0.0, 2.0], [0.1, 0.3, 0.6], 0.95, 0.7)
    assert np.allclose([turn[-1] for turn in found], ends), "a turn's last token has the turn's advantage"
    assert found[0][0] == pytest.approx(0.9 * 0.1 - 0.5 + 0.9 * 0.8 * ends[0])


def test_at_one_turn_bilevel_is_gae_over_tokens():
    one = [episode("a", [1.5], values=[[0.3, -0.2, 0.9]]), episode("a", [-1.0], values=[[0.1]])]
    settings = {"gamma": 0.9, "lam": 0.8, "gamma_turn": 0.5, "lam_turn": 0.1}
    for whiten in (True, False):
        bilevel, token = (Gae(level, whiten=whiten, **settings)(one) for level in ("bilevel", "token"))
        assert np.allclose(flat(flat(bilevel)), flat(flat(token)))


@pytest.mark.parametrize("level", ["turn", "token", "bilevel"])
def test_whitened_to_mean_0_and_deviation_1_without_what_we_failed(level):
    batch = random_batch(7)
    rows = Gae(level)(batch)
    numbers = [flat(row) if isinstance(row[0], list) else row for row in rows]
    own = flat([row for row, t in zip(numbers, batch, strict=True) if t.stop == "done"])
    assert np.allclose([np.mean(own), np.std(own, ddof=1)], [0.0, 1.0], atol=1e-6)
    assert all(not any(row) for row, t in zip(numbers, batch, strict=True) if t.stop != "done")


def test_targets_are_value_and_advantage_where_the_critic_is_asked():
    turn = Gae("turn", gamma_turn=1.0, lam_turn=1.0).targets([EPISODE])[0]
    assert [row[0] for row in turn] == pytest.approx([3.0, 2.0, 2.0]), "with lambda 1 the return itself"
    assert all(math.isnan(value) for row in turn for value in row[1:])
    token = Gae("token").targets([EPISODE])[0]
    assert flat(token) == pytest.approx([3.0, 3.0, 2.0, 2.0, 2.0, 2.0])
    failed = episode("a", [1.0], stop="infra_error", values=[[0.1, 0.2]])
    assert all(math.isnan(value) for value in flat(Gae("token").targets([failed])[0]))


def test_a_critic_is_asked_for():
    with pytest.raises(UserError, match="take algo=ppo"):
        Gae()([episode("a", [1.0])])
    with pytest.raises(UserError, match="take algo=ppo"):
        Gae()([episode("a", [1.0, 0.0], entropies=[0.5, 0.5], values=[[0.1, 0.2], []])])


@pytest.mark.parametrize("level", ["turn", "token", "bilevel"])
def test_a_turn_in_which_nothing_was_sampled_is_worth_its_reward_alone(level):
    """As where the context was full before its first token."""
    cut = episode("a", [1.0, -1.0], values=[[0.5, 0.1], []])
    gae = Gae(level, gamma_turn=1.0, lam_turn=1.0, whiten=False)
    found = gae([cut])[0]
    first = found[0] if level == "turn" else found[0][0]
    assert first == pytest.approx(1.0 - 1.0 - 0.5)
    assert gae.targets([cut])[0][0][0] == pytest.approx(0.0)
    assert gae.targets([cut])[0][1] == [], "and nothing to learn"
