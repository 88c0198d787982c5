import pytest

from agenttrain.combine import WINDOW, Terms
from agenttrain.errors import UserError
from agenttrain.policy.craft_expert import CraftExpert
from agenttrain.reward.ranking import Ranking
from agenttrain.reward.rlvf import Rlvf
from agenttrain.reward.steps import Steps
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def scored(weights=None, stop="done", **scores) -> Trajectory:
    """An episode as `score` leaves it."""
    turns = [Turn(Action({}), Observation([])) for _ in next(iter(scores.values()))]
    return Trajectory(Task("t", []), turns, stop, scores=scores, weights=weights or dict.fromkeys(scores, 1.0))


def begun(names="rlvf safety", **rules) -> Terms:
    terms = Terms(**rules)
    terms.begin({name: Rlvf(weight=0.5) for name in names.split()})
    return terms


def test_without_rules_the_weights_are_the_rewards_own():
    trajectory = Terms().weigh(scored({"rlvf": 2.0, "steps": 1.0}, rlvf=[0.0, 1.0], steps=[-0.5, -0.5]))
    assert trajectory.turn_rewards == [-0.5, 1.5]


def test_a_gated_term_counts_only_where_its_verifier_passed():
    terms = begun("rlvf learned", gates={"learned": "rlvf"})
    passed = terms.weigh(scored(rlvf=[0.0, 1.0], learned=[0.3, 0.3]))
    failed = terms.weigh(scored(rlvf=[0.0, 0.0], learned=[0.9, 0.9]))
    assert passed.turn_rewards == [0.3, 1.3]
    assert failed.turn_rewards == [0.0, 0.0]
    assert failed.scores["learned"] == [0.9, 0.9], "what it said stays to be seen"


def test_a_veto_puts_the_episode_at_the_floor_on_the_turn_that_broke_the_rule():
    terms = begun(veto=["safety"], floor=-2.0)
    unsafe = terms.weigh(scored(rlvf=[0.0, 0.0, 1.0], safety=[0.0, -1.0, -1.0]))
    assert unsafe.turn_rewards == [0.0, -2.0, 0.0]
    assert unsafe.scores["safety"] == [0.0, -1.0, -1.0]
    assert terms.weigh(scored(rlvf=[1.0], safety=[0.0])).turn_rewards == [1.0]


def test_under_a_veto_doing_nothing_is_no_better_than_an_unsafe_try():
    terms = begun(veto=["safety"])
    unsafe, nothing = scored(rlvf=[0.0, 1.0], safety=[-1.0, -1.0]), scored(rlvf=[0.0], safety=[0.0])
    assert sum(terms.weigh(unsafe).turn_rewards) == sum(terms.weigh(nothing).turn_rewards)


def test_a_term_that_is_watched_pays_nothing():
    watched = begun("rlvf strict", watch=["strict"]).weigh(scored(rlvf=[1.0], strict=[1.0]))
    assert watched.turn_rewards == [1.0]


def test_a_multiplier_rises_above_the_budget_falls_below_and_keeps_its_bounds():
    terms = begun(budgets={"safety": 0.25}, rate=2.0, most=3.0)
    bad, good = scored(rlvf=[1.0, 0.0], safety=[-1.0, 0.0]), scored(rlvf=[1.0], safety=[0.0])
    assert terms.weigh(bad).weights == {"rlvf": 1.0, "safety": 0.5}, "it starts at the reward's own weight"
    masked = scored(stop="infra_error", rlvf=[0.0])
    assert terms.adapt([bad, good, masked]) == {"weight/safety": 0.5}, "the figures are those of the step"
    assert terms.multipliers == {"safety": 0.5 + 2.0 * (0.5 - 0.25)}
    assert terms.weigh(bad).weights["safety"] == 1.0
    for _ in range(9):
        terms.adapt([bad])
    assert terms.multipliers == {"safety": 3.0}
    for _ in range(9):
        terms.adapt([good])
    assert terms.multipliers == {"safety": 0.0}
    terms.adapt([masked])
    assert terms.multipliers == {"safety": 0.0}, "nothing is learned from a step that nobody played"


def test_praise_that_a_stricter_verifier_does_not_share_raises_an_alarm():
    terms = begun("rlvf strict", watch=["strict"])
    honest = [terms.weigh(scored(rlvf=[1.0], strict=[1.0])), terms.weigh(scored(rlvf=[0.0], strict=[0.0]))]
    gamed = [terms.weigh(scored(rlvf=[1.0], strict=[0.0])), honest[1]]
    steps = [terms.adapt(honest)] * WINDOW
    assert steps[0] == {"gap/strict": 0.0}
    assert terms.hacked(steps + steps) is None
    assert terms.hacked(steps) is None, "too early to tell"
    steps += [terms.adapt(gamed)] * WINDOW
    assert "'strict' does not pass rose from 0% to 50%" in terms.hacked(steps)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"veto": ["saftey"]}, r"combine.veto names 'saftey'.*Did you mean safety\?"),
        ({"gates": {"safety": "rlfv"}}, "combine.gates names 'rlfv'"),
        ({"budgets": {"safety": 0.1}, "veto": ["safety"]}, "'safety' is in combine.budgets and in combine.veto"),
    ],
)
def test_a_rule_that_cannot_hold_is_refused(rules, said):
    with pytest.raises(UserError, match=said):
        begun(**rules)


@pytest.mark.parametrize("rules", [{"gates": {"rlvf": "ranking"}}, {"veto": ["ranking"]}, {"watch": ["ranking"]}])
def test_a_term_that_only_compares_is_no_measure_but_may_be_gated(rules):
    rewards = {"rlvf": Rlvf(), "ranking": Ranking(CraftExpert(), "x")}
    with pytest.raises(UserError, match="'ranking' as a measure"):
        Terms(**rules).begin(rewards)
    Terms(gates={"ranking": "rlvf"}).begin(rewards)


def test_the_term_of_a_veto_keeps_its_name():
    with pytest.raises(UserError, match="may not be called 'veto'"):
        Terms().begin({"veto": Steps()})
