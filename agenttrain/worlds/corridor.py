"""The ways and wording of the corridors, shared by their tasks, their environment and their expert."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

ITEMS = ("key", "net", "nail", "glue", "cloth", "wool", "iron", "brick")
"""What can be used in a room. Each is one token of the tiny tokenizer."""

FOG = "in fog"


def ways(room: str, items: Sequence[str], seed: int) -> list[str]:
    """All items in the order of what they do in that room: the first leads on, the others are the wrong ones."""
    return random.Random(f"corridor/{seed}/{room}").sample(items, len(items))


def name_room(corridor: str, number: int) -> str:
    """`d4`: the room number 3 (from 0) of corridor d."""
    return f"{corridor}{number + 1}"


def tell(room: str) -> str:
    """What is seen there."""
    return f"in {room}"


def read_place(text: str) -> str:
    """The room that a text ends in, or nothing where it ends in fog or elsewhere: the inverse of `tell`."""
    found = re.search(r"in ([a-z]+\d+)$", text)
    return found[1] if found else ""
