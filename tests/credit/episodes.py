"""Trajectories for the tests of credit: only what a strategy looks at."""

from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def episode(task: str, rewards: list[float], states: str = "", stop: str = "done") -> Trajectory:
    """One turn per reward; `states` has one letter per turn (a space: no key)."""
    keys = [letter.strip() for letter in states.ljust(len(rewards))]
    turns = [Turn(Action({}), Observation([], state=key)) for key in keys]
    return Trajectory(Task(task, []), turns, stop, scores={"r": rewards})
