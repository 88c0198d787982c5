"""Good: what each turn brought, in rooms; a way back costs what the way there earned, and the end is one room more."""

import re


def room(text: str, before: int) -> int:
    found = re.search(r"in [a-z]+(\d+)$", text)
    return int(found[1]) - 1 if found else before + text.endswith("the end")


def reward(trajectory: dict) -> list[float]:
    at, scores = 0, []
    for turn in trajectory["turns"]:
        now = room(turn["observation"][-1]["content"], at) if turn["observation"] else at
        scores.append((now - at) / 10)
        at = now
    return scores
