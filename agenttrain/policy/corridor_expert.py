"""Observation -> Action: one who knows the corridors, or a share of their rooms, and errs as often as told."""

from __future__ import annotations

import math
import re

from agenttrain.errors import UserError
from agenttrain.policy.scripted import Scripted, call, dice
from agenttrain.ranges import Share, Whole
from agenttrain.types import Conversation, Message
from agenttrain.worlds.corridor import read_place, ways


class CorridorExpert(Scripted):
    """Uses the item that leads on, and in fog, where all do the same, any.

    Nothing in a corridor tells which item that is, so the expert is told what the tasks were made from. A clone of one
    who knows some rooms well is a better start for learning than of one who knows all of them badly: it has learned
    where to look.

    Args:
        error: probability per turn of a random item.
        knows: share of a corridor's rooms, evenly spread; in the others it uses random items.
        seed: `task.seed` of the corridors it knows.
    """

    calls = frozenset({"use"})

    def __init__(self, error: Share = 0.0, knows: Share = 1.0, seed: Whole = 0) -> None:
        if not 0 <= error <= 1 or not 0 <= knows <= 1:
            raise UserError(f"policy.error={error} and policy.knows={knows} must be from 0 to 1.")
        super().__init__()
        self.error, self.knows, self.seed = error, knows, seed

    def act(self, conversation: Conversation) -> Message:
        items = _items(conversation)
        room = read_place(str(conversation.messages[-1].get("content")))
        random = dice(conversation)
        if not self._knows(room) or random.random() < self.error:
            return call(conversation, "use", item=random.choice(items))
        return call(conversation, "use", item=ways(room, items, self.seed)[0])

    def _knows(self, room: str) -> bool:
        """Every second room for a half, and so on; no fog."""
        number = int(re.sub(r"\D", "", room) or 0)
        return math.floor(number * self.knows) > math.floor((number - 1) * self.knows) and number > 0


def _items(conversation: Conversation) -> list[str]:
    """In the order of the tool's schema, which is that of the tasks."""
    for tool in conversation.tools:
        if found := tool["function"]["parameters"]["properties"].get("item", {}).get("enum"):
            return found
    raise UserError("policy=corridor_expert finds no items in this task. Use task=corridor env=corridor.")
