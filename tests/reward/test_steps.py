from agenttrain.reward.steps import Steps
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def test_every_turn_pays():
    turns = [Turn(Action({}), Observation([]))] * 3
    assert Steps(cost=0.5)(Trajectory(Task("t", []), turns, "done")) == [-0.5] * 3
