"""Good: the outcome, read off the last observation."""


def reward(trajectory: dict) -> list[float]:
    last = trajectory["turns"][-1]["observation"]
    arrived = bool(last) and last[-1]["content"].endswith("the end")
    return [0.0] * (len(trajectory["turns"]) - 1) + [float(arrived)]
