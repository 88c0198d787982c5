import pytest

from agenttrain.reward.length import Length
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def episode(*tokens: int) -> Trajectory:
    return Trajectory(Task("t", []), [Turn(Action({}, token_ids=[0] * n), Observation([])) for n in tokens], "done")


@pytest.mark.parametrize(("tokens", "paid"), [(75, 0.0), (80, 0.0), (90, -1.0), (100, -2.0), (400, -2.0)])
def test_it_grows_over_the_margin_and_stops_at_the_penalty(tokens, paid):
    assert Length(most=100, margin=20, penalty=2.0)(episode(5, tokens - 5)) == [0.0, paid]


def test_an_endpoints_own_count_is_taken_where_there_are_no_tokens():
    trajectory = Trajectory(Task("t", []), [Turn(Action({}, usage={"completion_tokens": 95}), Observation([]))], "done")
    assert Length(most=100, margin=10)(trajectory) == [-0.5]


def test_an_episode_without_a_turn_has_no_scores():
    assert Length()(episode()) == []
