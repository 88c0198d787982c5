"""Bad: the same for every turn, so that a long failure earns more than a short success."""


def reward(trajectory: dict) -> list[float]:
    return [1.0 for turn in trajectory["turns"]]
