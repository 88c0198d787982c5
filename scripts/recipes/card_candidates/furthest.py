"""Good: every room that is seen for the first time, the end too; what throws back takes nothing away."""

import re


def reward(trajectory: dict) -> list[float]:
    seen, scores = 1, []
    for turn in trajectory["turns"]:
        before = seen
        for message in turn["observation"]:
            found = re.search(r"in [a-z]+(\d+)$", message["content"])
            seen = max(seen, int(found[1])) if found else seen + message["content"].endswith("the end")
        scores.append((seen - before) / 10)
    return scores
