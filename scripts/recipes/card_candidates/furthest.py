"""Good: on the last turn the furthest room that was ever seen; the end is worth more than any."""

import re


def reward(trajectory: dict) -> list[float]:
    seen = 0.0
    for turn in trajectory["turns"]:
        for message in turn["observation"]:
            found = re.search(r"in [a-z]+(\d+)$", message["content"])
            if message["content"].endswith("the end"):
                seen = 1.0
            elif found:
                seen = max(seen, int(found[1]) / 10)
    return [0.0] * (len(trajectory["turns"]) - 1) + [seen]
