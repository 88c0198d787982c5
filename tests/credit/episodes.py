"""Trajectories for the tests of credit: only what a strategy looks at."""

import random

from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def episode(
    task: str,
    rewards: list[float],
    states: str = "",
    stop: str = "done",
    entropies: list[float] | None = None,
    values: list[list[float]] | None = None,
    success: bool = False,
    **scores: list[float],
) -> Trajectory:
    """One turn per reward; `states` has one letter per turn (a space: no key)."""
    keys = [letter.strip() for letter in states.ljust(len(rewards))]
    turns = [Turn(Action({}), Observation([], state=key)) for key in keys]
    for number, turn in enumerate(turns):
        if entropies:
            turn.action.entropies = [entropies[number]] * 2
        if values:
            turn.action.values = values[number]
    if turns:
        turns[-1].observation.feedback["success"] = success
    return Trajectory(Task(task, []), turns, stop, scores={"r": rewards} | scores)


def random_batch(seed: int, tasks: int = 3, attempts: int = 4) -> list[Trajectory]:
    """Ragged episodes of all sorts, some failed by us, in a random order."""
    rng = random.Random(seed)
    batch = []
    for task in range(tasks):
        for _ in range(attempts):
            turns = rng.randint(1, 6)
            batch.append(
                episode(
                    f"t{task}",
                    [rng.gauss(0, 1) for _ in range(turns)],
                    "".join(rng.choice("abc ") for _ in range(turns)),
                    stop="infra_error" if rng.random() < 0.1 else "done",
                    entropies=[rng.random() for _ in range(turns)],
                    values=[[rng.gauss(0, 1) for _ in range(rng.randint(1, 4))] for _ in range(turns)],
                    success=rng.random() < 0.5,
                )
            )
    rng.shuffle(batch)
    return batch
