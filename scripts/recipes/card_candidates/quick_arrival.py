"""Good: the outcome, and a little for every turn that was not needed."""


def reward(trajectory: dict) -> list[float]:
    turns = trajectory["turns"]
    last = turns[-1]["observation"]
    arrived = bool(last) and last[-1]["content"].endswith("the end")
    return [-0.01] * (len(turns) - 1) + [float(arrived)]
