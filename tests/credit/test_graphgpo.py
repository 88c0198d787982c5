import numpy as np

from agenttrain.credit.dr_grpo import DrGrpo
from agenttrain.credit.graphgpo import Graphgpo

from .episodes import episode


def step_term(batch, **options):
    found = Graphgpo(norm="none", **options)(batch)
    return [np.subtract(a, b).tolist() for a, b in zip(found, DrGrpo()(batch), strict=True)]


def test_a_good_step_of_a_failed_attempt_is_praised_for_what_others_did_from_there():
    # x -> y -> success; the second attempt goes x -> y and then gives up, the third x -> x.
    batch = [
        episode("a", [0, 1], "xy", success=True),
        episode("a", [0, 0], "xy"),
        episode("a", [0, 0], "xx"),
    ]
    # Returns in x: to y, one step from success: 10 * 0.1; to x, two steps: 10 * 0.01; the last leads nowhere: 0.
    in_x = np.array([1.0, 1.0, 0.1, 0.0])
    in_y = np.array([10.0, 0.0])
    x, y = in_x - in_x.mean(), in_y - in_y.mean()
    wanted = [[x[0], y[0]], [x[1], y[1]], [x[2], x[3]]]
    assert np.allclose(np.concatenate(step_term(batch)), np.concatenate(wanted))


def test_where_nobody_succeeds_only_the_episode_term_is_left():
    batch = [episode("a", [1, 0], "xy"), episode("a", [0, 0], "xz")]
    assert np.allclose(np.concatenate(step_term(batch)), 0.0)


def test_the_way_of_another_task_is_no_way():
    batch = [episode("a", [0, 1], "xy", success=True), episode("b", [0, 0], "xy"), episode("b", [0, 0], "xz")]
    assert np.allclose(np.concatenate(step_term(batch)), 0.0)


def test_a_turn_without_a_key_is_no_node_that_two_attempts_share():
    # y led to where nobody else was, although x led to a turn without a key as well, and on to success.
    batch = [episode("a", [0, 1], "x ", success=True), episode("a", [0, 0], "y "), episode("a", [0], "y")]
    assert np.allclose(np.concatenate(step_term(batch)), 0.0)
