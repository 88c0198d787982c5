"""-> Task: walk a corridor to its end, where in each room one item leads on and nothing tells which."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Literal

from agenttrain.errors import UserError
from agenttrain.ranges import Count, Whole
from agenttrain.types import Message, Task
from agenttrain.worlds.corridor import ITEMS, name_room, ways

SYSTEM = "Reach the end."


class Corridor:
    """Corridors a, c, e, ... (`train`) or b, d, f, ... (`heldout`); the same arguments always give the same tasks.

    Which item leads on depends on `seed` and the room's name (`c4`) alone, so that what is learned of one corridor says
    nothing about another: success on `heldout` is what trying within the episode achieves.

    Args:
        split: `train` or `heldout`.
        n: number of corridors.
        seed: of what the items do.
        rooms: length of a corridor.
        items: how many can be used in a room, 2 to 8.
    """

    def __init__(
        self,
        split: Literal["train", "heldout"] = "train",
        n: Count = 8,
        seed: Whole = 0,
        rooms: Count = 8,
        items: Count = 4,
    ) -> None:
        if split not in ("train", "heldout"):
            raise UserError(f"No split {split!r} in task=corridor. Choose one of: train, heldout.")
        if not 2 <= items <= len(ITEMS):
            raise UserError(f"task.items={items}: task=corridor has 2 to {len(ITEMS)} items.")
        self.split, self.n, self.seed, self.rooms, self.items = split, n, seed, rooms, items

    def __iter__(self) -> Iterator[Task]:
        items = ITEMS[: self.items]
        for number in range(self.split == "heldout", 2 * self.n, 2):
            corridor = name_corridor(number)
            rooms = [ways(name_room(corridor, room), items, self.seed) for room in range(self.rooms)]
            ident = f"corridor/{self.seed}/{self.rooms}x{self.items}/{corridor}"
            opening: list[Message] = [{"role": "system", "content": SYSTEM}]
            yield Task(ident, opening, data={"corridor": corridor, "items": list(items), "ways": rooms})


def name_corridor(number: int) -> str:
    """a, b, ..., z, aa, ab, ...; from 0."""
    more, letter = divmod(number, len(string.ascii_lowercase))
    return (name_corridor(more - 1) if more else "") + string.ascii_lowercase[letter]
