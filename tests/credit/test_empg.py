import numpy as np
import pytest

from agenttrain.credit.empg import Empg
from agenttrain.credit.gae import Gae
from agenttrain.credit.gigpo import Gigpo
from agenttrain.credit.grpo import Grpo
from agenttrain.credit.turn import Turn
from agenttrain.errors import UserError

from .episodes import episode, random_batch

PLAIN = {"center": False, "bonus_gate": "none"}


def batch(success=True):
    """Advantages of `Turn`: 0.5 0.5 and -0.5; entropies 0 0.25 and 1 on the scale."""
    return [
        episode("a", [0.0, 0.5], entropies=[1.0, 1.5], success=success),
        episode("a", [0.0], entropies=[3.0]),
    ]


def test_hand_computed():
    found = Empg(Turn(), zeta=0.0, **PLAIN)(batch())
    gain = np.exp(-np.array([0.0, 0.25, 1.0]))
    assert np.allclose(np.concatenate(found), np.array([0.5, 0.5, -0.5]) * gain / gain.mean())
    clarity = Empg(Turn(), k=0.0, k_future=2.0, zeta=0.1, **PLAIN)(batch())
    assert np.allclose(np.concatenate(clarity), [0.5 + 0.1 * np.exp(-0.5), 0.5, -0.5]), "no bonus at a last turn"


@pytest.mark.parametrize("base", [Grpo(), Turn(gamma=0.9), Gigpo()], ids=lambda base: type(base).__name__)
@pytest.mark.parametrize("seed", range(3))
def test_its_neutral_setting_is_its_base(base, seed):
    found = Empg(base, k=0.0, zeta=0.0, center=False)(random_batch(seed))
    for own, other in zip(found, base(random_batch(seed)), strict=True):
        assert np.allclose(own, other)


def test_centred_over_the_turns_that_are_the_agents_own():
    mixed = random_batch(4)
    rows = [row for row, t in zip(Empg(Grpo())(mixed), mixed, strict=True) if t.stop == "done"]
    assert np.mean(np.concatenate(rows)) == pytest.approx(0.0, abs=1e-12)


def test_the_bonus_can_be_kept_for_successes_or_for_groups_that_differ():
    without = Empg(Turn(), zeta=0.0, center=False)(batch(success=False))
    assert Empg(Turn(), zeta=1.0, center=False, bonus_gate="success")(batch(success=False)) == without
    assert Empg(Turn(), zeta=1.0, center=False, bonus_gate="success")(batch()) != without
    even = [episode("a", [0.0, 1.0], entropies=[1.0, 3.0]), episode("a", [1.0], entropies=[2.0])]
    assert np.allclose(np.concatenate(Empg(Grpo(), zeta=1.0, center=False, bonus_gate="nonzero_variance")(even)), 0.0)
    assert Empg(Grpo(), zeta=1.0, center=False)(even)[0][0] > 0
    differ = Empg(Turn(), zeta=1.0, center=False, bonus_gate="nonzero_variance")(batch())
    assert differ == Empg(Turn(), zeta=1.0, center=False)(batch())


def test_ranks_do_not_hang_on_an_extreme_turn():
    def gains(last):
        rows = [episode("a", [1.0], entropies=[h]) for h in (1.0, 2.0, 2.0, last)] + [
            episode("a", [0.0], entropies=[1.5])
        ]
        credit = Empg(Turn(), zeta=0.0, center=False, scale="quantile")
        return np.concatenate(credit(rows)) / np.concatenate(Turn()(rows))

    assert np.allclose(gains(3.0), gains(300.0))
    ranks = np.exp(-np.array([0.0, 2.5, 2.5, 4.0, 1.0]) / 4)  # equal entropies share the mean of their ranks
    assert np.allclose(gains(3.0), ranks / ranks.mean())


def test_the_critic_of_a_base_learns_as_without_it():
    batch, base = random_batch(0), Gae("token")
    own, other = (
        [v for row in found for turn in row for v in turn] for found in (Empg(base).targets(batch), base.targets(batch))
    )
    assert np.array_equal(own, other, equal_nan=True)
    with pytest.raises(UserError, match=r"credit\.base=gae"):
        Empg(Turn()).targets(batch)


def test_a_turn_without_entropies_is_told():
    with pytest.raises(UserError, match="entropies of sampled tokens"):
        Empg(Turn())([episode("a", [1.0])])
    with pytest.raises(UserError, match="not a finite number"):
        Empg(Turn())([episode("a", [1.0], entropies=[np.nan])])


def test_a_base_that_speaks_per_token_is_modulated_turn_by_turn():
    batch, base = random_batch(0), Gae("token", whiten=False)
    assert Empg(base, k=0.0, zeta=0.0, center=False)(batch) == base(batch)
    found = Empg(base)(batch)
    means = [np.mean(turn) for row, t in zip(found, batch, strict=True) if t.stop == "done" for turn in row]
    assert np.isclose(np.mean(means), 0.0)


def test_a_turn_in_which_nothing_was_sampled_is_no_lack_of_entropies():
    cut = episode("a", [0.0, 0.0], entropies=[1.0, 0.5])
    cut.turns[1].action.entropies = []
    found = Empg(Turn())([cut, episode("a", [1.0], entropies=[0.2])])
    assert np.isfinite([a for row in found for a in row]).all()
