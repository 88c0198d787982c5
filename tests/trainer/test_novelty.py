import pytest

from agenttrain.trainer.novelty import Novelty
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def episode(*states, task="a", stop="done"):
    turns = [Turn(Action({}), Observation([], state=state)) for state in states]
    return Trajectory(Task(task, []), turns, stop)


def test_the_bonus_falls_with_the_root_of_the_episodes_that_met_a_state():
    some = Novelty()
    assert some.bonus(episode("x", "y")) == [1.0, 1.0]
    some.count([episode("x", "x", "y"), episode("x")])
    assert some.bonus(episode("x", "y", "z")) == pytest.approx([3**-0.5, 2**-0.5, 1.0])


def test_coming_back_or_staying_pays_nothing():
    assert Novelty().bonus(episode("x", "x", "y", "x")) == [1.0, 0.0, 1.0, 0.0]


def test_nothing_counts_within_a_step_across_tasks_without_a_key_or_if_we_failed():
    some = Novelty()
    batch = [episode("x"), episode("x", task="b"), episode("", "x", stop="infra_error")]
    assert [some.bonus(t) for t in batch] == [[1.0], [1.0], [0.0, 1.0]]
    some.count(batch)
    assert some.bonus(episode("x")) == some.bonus(episode("x", task="b")) == [2**-0.5]
    assert some.bonus(episode("x", task="c")) == [1.0]
