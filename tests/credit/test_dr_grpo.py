from agenttrain.credit.dr_grpo import DrGrpo

from .episodes import episode


def test_hand_computed_group_keeps_the_scale_of_the_reward():
    batch = [episode("a", [2.0, 2.0]), episode("a", [0.0]), episode("b", [1.0]), episode("b", [0.0])]
    assert DrGrpo()(batch) == [[2.0, 2.0], [-2.0], [0.5], [-0.5]]
