"""Bad: never comes to an end."""


def reward(trajectory: dict) -> list[float]:
    turn = 0
    while trajectory["turns"]:
        turn += 1
    return [turn]
