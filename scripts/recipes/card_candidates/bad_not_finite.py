"""Bad: divides by the number of malformed calls, of which a good episode has none."""


def reward(trajectory: dict) -> list[float]:
    bad = sum(turn["invalid_call"] is not None for turn in trajectory["turns"])
    return [float("inf") if not bad else 1.0 / bad for turn in trajectory["turns"]]
