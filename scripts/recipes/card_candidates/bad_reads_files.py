"""Bad: looks for the answer where no reward function has any business."""

import os


def reward(trajectory: dict) -> list[float]:
    known = os.listdir("/")
    return [float(len(known)) for turn in trajectory["turns"]]
