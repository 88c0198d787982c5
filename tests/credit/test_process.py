import numpy as np
import pytest

from agenttrain.credit.dr_grpo import DrGrpo
from agenttrain.credit.process import Process
from agenttrain.credit.turn import Turn
from agenttrain.errors import UserError

from .episodes import episode


def attempt(outcome, scores, states=""):
    return episode("a", [0.0] * (len(scores) - 1) + [outcome], states, prm=scores)


def test_outcome_and_process_have_a_baseline_each():
    batch = [attempt(1.0, [0.2, 0.9]), attempt(0.0, [0.4])]
    found = Process(term="prm", form="absolute", omega=2.0)(batch)
    # outcomes: +-0.5; scores to come: 1.1 0.9 against 0.4 0
    assert np.allclose(found[0], [0.5 + 2 * 0.7, 0.5 + 2 * 0.9])
    assert np.allclose(found[1], [-0.5 - 2 * 0.7])


def test_progress_pays_nothing_for_a_loop():
    """Up, down and up again is worth as much as up once."""
    once, loop = attempt(0.0, [0.5]), attempt(0.0, [0.5, 0.1, 0.5])
    assert np.allclose(Process(term="prm")([once, loop])[1][0], 0.0)
    assert Process(term="prm", form="absolute")([once, loop])[1][0] == pytest.approx(0.6)


def test_anchors_compare_in_the_same_state():
    batch = [attempt(0.0, [1.0, 0.0], "xy"), attempt(0.0, [0.0, 0.0], "zx")]
    found = Process(term="prm", form="absolute", baseline="anchor")(batch)
    assert np.allclose(np.concatenate(found), [0.5, 0.0, 0.0, -0.5])


def test_without_a_term_all_rewards_judge_the_turns():
    batch = [episode("a", [1.0, 2.0]), episode("a", [0.5])]
    assert Process(form="absolute")(batch) == Turn()(batch)


def test_omega_0_leaves_the_outcome():
    batch = [attempt(1.0, [0.2, 0.9]), attempt(0.0, [0.4])]
    alone = [episode("a", [0.0, 1.0]), episode("a", [0.0])]
    assert Process(term="prm", omega=0.0)(batch) == [[pytest.approx(a) for a in row] for row in DrGrpo()(alone)]


def test_a_missing_reward_is_told_and_a_failure_of_ours_is_not_one():
    with pytest.raises(UserError, match=r"a reward .rpm.\. There are: r, prm"):
        Process(term="rpm")([attempt(1.0, [1.0])])
    failed = episode("a", [0.0], stop="infra_error")
    failed.scores = {}
    assert Process(term="prm")([attempt(1.0, [1.0]), attempt(0.0, [0.0]), failed])[2] == [0.0]


def test_at_any_discount_a_loop_of_progress_earns_nothing():
    batch = [attempt(0.0, [1.0, 0.0, 0.0]), attempt(0.0, [0.0, 0.0, 0.0])]
    (first, *_), _ = Process(term="prm", gamma=0.5)(batch)
    assert first == pytest.approx(0.0), "what was gained and lost again"
    (first, *_), _ = Process(term="prm", gamma=0.5, form="absolute")(batch)
    assert first == pytest.approx(1.0)
