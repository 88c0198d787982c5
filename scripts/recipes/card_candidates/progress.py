"""Good: what each turn brought, in rooms; a way back costs what the way there earned."""

import re


def room(text: str, before: float) -> float:
    if text.endswith("the end"):
        return 1.0
    found = re.search(r"in [a-z]+(\d+)$", text)
    return (int(found[1]) - 1) / 8 if found else before


def reward(trajectory: dict) -> list[float]:
    at, scores = 0.0, []
    for turn in trajectory["turns"]:
        now = room(turn["observation"][-1]["content"], at) if turn["observation"] else at
        scores.append(now - at)
        at = now
    return scores
