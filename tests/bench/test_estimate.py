"""Estimates on processes whose exact gradient is known: right for what is right, wrong for what is wrong."""

import numpy as np
import pytest

from agenttrain.bench.episodes import play
from agenttrain.bench.estimate import gradients
from agenttrain.bench.verdict import judge
from agenttrain.credit.dr_grpo import DrGrpo
from agenttrain.credit.mt_grpo import MtGrpo
from agenttrain.credit.turn import Turn
from agenttrain.errors import UserError
from agenttrain.process.chain import Chain
from agenttrain.process.stop_or_continue import StopOrContinue


class PerIndex:
    """The published form, bare: a turn's reward against the attempts that reached the turn, and these summed onward."""

    def __call__(self, batch):
        groups = {}
        for place, trajectory in enumerate(batch):
            groups.setdefault(trajectory.task.id, []).append(place)
        advantages = [[] for _ in batch]
        for group in groups.values():
            for place in group:
                own = batch[place].turn_rewards
                reached = [
                    [batch[k].turn_rewards[t] for k in group if len(batch[k].turns) > t] for t in range(len(own))
                ]
                centred = [reward - np.mean(others) for reward, others in zip(own, reached, strict=True)]
                advantages[place] = [float(sum(centred[t:])) for t in range(len(own))]
        return advantages


class FixedCount(PerIndex):
    """The same, but turns that did not happen count as 0, and an attempt's own reward is not in its baseline."""

    def __call__(self, batch):
        lengths = max(len(t.turns) for t in batch)
        advantages = []
        for trajectory in batch:
            others = [t.turn_rewards for t in batch if t.task is trajectory.task and t is not trajectory]
            own = np.pad(trajectory.turn_rewards, (0, lengths - len(trajectory.turns)))
            centred = own - np.mean([np.pad(rewards, (0, lengths - len(rewards))) for rewards in others], axis=0)
            advantages.append([float(centred[t:].sum()) for t in range(len(trajectory.turns))])
        return advantages


def measured(strategy, process, group_size=4, count=4096, **options):
    mdp = process.mdp()
    found = gradients(strategy, play(mdp, count, np.random.default_rng(0)), mdp, group_size, 2, **options)
    return found, judge(found, mdp.gradient, 2 * group_size)


def test_stop_or_continue_shows_the_bias_of_a_baseline_by_turn_number():
    per_index, verdict = measured(PerIndex(), StopOrContinue())
    assert per_index.mean() == 0.0, "exactly: every turn that took place paid the same"
    assert verdict.verdict == "biased: no gradient"
    for strategy in (FixedCount(), Turn()):
        found, verdict = measured(strategy, StopOrContinue(), count=16384)
        assert found.mean() == pytest.approx(0.767, abs=0.03)
        assert verdict.verdict == "unbiased"


def test_mt_grpo_is_found_biased_and_turn_is_not():
    process = StopOrContinue(shared=False)
    assert measured(MtGrpo(), process)[1].verdict == "biased: direction"
    assert measured(Turn(), process)[1].verdict == "unbiased"


@pytest.mark.parametrize("group_size", [2, 4])
def test_a_baseline_that_holds_the_attempt_itself_shrinks_the_gradient_by_one_nth(group_size):
    _, verdict = measured(DrGrpo(), StopOrContinue(shared=False), group_size, count=8192)
    assert verdict.verdict == "unbiased up to scale"
    assert verdict.scale.low < 1 - 1 / group_size < verdict.scale.high


def test_the_mean_over_an_episodes_own_turns_turns_the_gradient():
    """loss_type=grpo, with a strategy that has no bias of its own; dapo's mean over a step's turns does far less."""
    losses = ("dr_grpo", "dapo", "grpo")
    fixed, step, episode = (measured(Turn(), StopOrContinue(shared=False), loss=loss)[1] for loss in losses)
    assert (fixed.verdict, episode.verdict) == ("unbiased", "biased: direction")
    assert step.angle.high < 5 < 12 < episode.angle.low
    assert 0.95 < step.scale.value < 1.05, "a common divisor leaves the scale"


def test_an_estimate_is_the_sum_of_advantages_times_scores():
    """By hand, over the turns of one batch of 2 x 2 episodes."""
    mdp = Chain().mdp()
    episodes = play(mdp, 4, np.random.default_rng(1))
    (found,) = gradients(Turn(), episodes, mdp, 2, 2)
    expected = np.zeros(mdp.logits.shape)
    for trajectory, advantages in zip(episodes.trajectories, Turn()(episodes.trajectories), strict=True):
        for turn, advantage in zip(trajectory.turns, advantages, strict=True):
            room, action = int(turn.observation.state.split()[1]), turn.action.token_ids[0]
            expected[room] += advantage * (np.eye(4)[action] - mdp.policy[room])[:-1] / 4
    assert np.allclose(found, expected.ravel())


@pytest.mark.parametrize(
    ("advantages", "message"),
    [
        (lambda t: [0.0], "Wrong gave 1 advantages for an episode of"),
        (lambda t: [float("nan")] * len(t.turns), "Wrong gave an advantage that is not a finite number: nan"),
    ],
)
def test_a_strategy_that_returns_something_else_is_named(advantages, message):
    class Wrong:
        def __call__(self, batch):
            return [advantages(t) for t in batch]

    with pytest.raises(UserError, match=message):
        measured(Wrong(), Chain(), count=64)


def test_of_advantages_per_token_the_actions_own_counts():
    class PerToken:
        def __call__(self, batch):
            return [[[advantage, 9.0] for advantage in turns] for turns in Turn()(batch)]

    assert (measured(PerToken(), Chain(), count=64)[0] == measured(Turn(), Chain(), count=64)[0]).all()
