"""Observation -> Action: one who knows the corridors, or errs as often as told."""

from __future__ import annotations

from agenttrain.corridor import read_place, ways
from agenttrain.errors import UserError
from agenttrain.policy.scripted import Scripted, call, dice
from agenttrain.ranges import Share, Whole
from agenttrain.types import Conversation, Message


class CorridorExpert(Scripted):
    """Uses the item that leads on, and in fog, where all do the same, any.

    Nothing in a corridor tells which item that is, so the expert is told what the tasks were made from.

    Args:
        error: probability per turn of a random item.
        seed: `task.seed` of the corridors it knows.
    """

    def __init__(self, error: Share = 0.0, seed: Whole = 0) -> None:
        if not 0 <= error <= 1:
            raise UserError(f"policy.error={error} is no probability.")
        super().__init__()
        self.error, self.seed = error, seed

    def act(self, conversation: Conversation) -> Message:
        items = _items(conversation)
        room = read_place(str(conversation.messages[-1].get("content")))
        random = dice(conversation)
        if not room or random.random() < self.error:
            return call(conversation, "use", item=random.choice(items))
        return call(conversation, "use", item=ways(room, items, self.seed)[0])


def _items(conversation: Conversation) -> list[str]:
    """In the order of the opening message, which is that of the tasks."""
    for message in conversation.messages:
        head, found, tail = str(message.get("content")).partition("Items: ")
        if found and not head:
            return tail.partition(".")[0].split(", ")
    raise UserError("policy=corridor_expert finds no items in this task. Use task=corridor env=corridor.")
