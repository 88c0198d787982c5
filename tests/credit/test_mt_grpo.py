import numpy as np
import pytest

from agenttrain.credit.mt_grpo import MtGrpo
from agenttrain.errors import UserError

from .episodes import episode


def z(values):
    values = np.array(values)
    return (values - values.mean()) / (values.std(ddof=1) + 1e-4)


def test_two_turns_as_published():
    # Turn rewards 1 0 1, outcomes 0 0 3.
    batch = [episode("a", [1.0, 0.0]), episode("a", [0.0, 0.0]), episode("a", [1.0, 3.0])]
    turn, outcome = z([1, 0, 1]), z([0, 0, 3])
    wanted = [[o + 0.5 * t, o] for t, o in zip(turn, outcome, strict=True)]
    assert np.allclose(MtGrpo(alpha=0.5)(batch), wanted)


def test_an_attempt_of_one_turn_is_judged_by_its_return():
    batch = [episode("a", [1.0]), episode("a", [1.0, 2.0]), episode("a", [0.0, 0.0])]
    assert np.allclose(MtGrpo()(batch)[0], [z([1, 3, 0])[0]])


def test_only_attempts_that_had_that_turn_are_compared_which_is_the_bias():
    # Whoever goes on earns 1 more. At each turn all who reached it earned the same: nothing is learned of going on.
    batch = [episode("a", [1.0] * turns) for turns in (2, 3, 4)]
    assert np.allclose(np.concatenate(MtGrpo()(batch)), 0.0)


def test_alone_or_failed_by_us_it_is_0():
    assert MtGrpo()([episode("a", [1.0, 2.0])]) == [[0.0, 0.0]]
    batch = [episode("a", [1.0, 2.0]), episode("a", [5.0, 5.0], stop="env_error")]
    assert MtGrpo()(batch) == [[0.0, 0.0], [0.0, 0.0]]


def test_a_turn_is_compared_with_those_that_had_a_turn_after_it():
    # The third attempt's 9 is an outcome. The first turns of the others earned 1 and 0.
    batch = [episode("a", [1.0, 0.0]), episode("a", [0.0, 0.0]), episode("a", [9.0])]
    outcome, turn = z([0, 0, 9]), z([1, 0])
    assert np.allclose([row[0] for row in MtGrpo()(batch)[:2]], outcome[:2] + turn)


def test_turn_rewards_can_be_named_and_then_count_for_the_last_turn_too():
    batch = [episode("a", [0.0, 1.0], tool=[1.0, 0.0]), episode("a", [0.0, 0.0], tool=[0.0, 2.0])]
    outcome, first, second = z([1, 0]), z([1, 0]), z([0, 2])
    found = MtGrpo(turn=["tool"])(batch)
    assert np.allclose(found, np.transpose([outcome + first, outcome + second]))
    with pytest.raises(UserError, match="a reward 'tol'"):
        MtGrpo(turn=["tol"])(batch)


def test_the_published_code_splits_at_the_first_call_that_was_answered():
    batch = [episode("a", [0.0, 0.0, 1.0], tool=[0.0, 1.0, 0.0]), episode("a", [0.0, 0.0], tool=[0.0, 0.0])]
    batch[0].turns[0].observation.feedback["invalid_call"] = "no tool of that name"
    batch[1].turns[0].observation.feedback["invalid_call"] = "no call"
    outcome, tool, both = z([1, 0])[0], z([1, 0])[0], z([2, 0])[1]
    found = MtGrpo(turn=["tool"], form="tool_result")(batch)
    assert np.allclose(found[0], [outcome + tool, outcome + tool, outcome])
    assert np.allclose(found[1], [both, both]), "no call was answered"
