"""Bad: the nearer the end, the less."""

import re


def reward(trajectory: dict) -> list[float]:
    scores = []
    for turn in trajectory["turns"]:
        found = re.search(r"in [a-z]+(\d+)$", turn["observation"][-1]["content"]) if turn["observation"] else None
        scores.append(-float(found[1]) if found else -99.0)
    return [0.0] * (len(scores) - 1) + [scores[-1]]
