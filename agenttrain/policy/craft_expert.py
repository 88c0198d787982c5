"""Observation -> Action: the optimal player of the crafting world, or one that errs as often as told."""

from __future__ import annotations

from agenttrain.errors import UserError
from agenttrain.policy.scripted import Scripted, call, dice
from agenttrain.ranges import Share
from agenttrain.types import Conversation, Message
from agenttrain.worlds.crafting import Recipe, Recipes, read_listing, shortage

HAVE = "You have: "


class CraftExpert(Scripted):
    """Reads recipes and goal from the opening user message and the inventory from the last observation.

    It works on the first ingredient that is short, down to one that can be had at once. A step so found is always one
    of those still owed, whatever the inventory, so it solves every task in the optimal number of steps and makes the
    best of any detour.

    Args:
        error: probability per turn of a random call (either tool, any item of the recipes) in place of the right one.
    """

    calls = frozenset({"craft", "get"})

    def __init__(self, error: Share = 0.0) -> None:
        if not 0 <= error <= 1:
            raise UserError(f"policy.error={error} is no probability.")
        super().__init__()
        self.error = error

    def act(self, conversation: Conversation) -> Message:
        opening = next(m["content"] for m in conversation.messages if m["role"] == "user")
        recipes, goal = read_opening(opening)
        random = dice(conversation)
        if random.random() < self.error:
            items = sorted({*recipes, *(item for recipe in recipes.values() for item in recipe["of"])})
            return call(conversation, random.choice(["get", "craft"]), item=random.choice(items))
        texts = (message.get("content") or "" for message in reversed(conversation.messages))
        inventory = read_listing(next(text for text in texts if HAVE in text).rpartition(HAVE)[2])
        item = shortage(recipes, goal, inventory)[-1]
        return call(conversation, "craft" if item in recipes else "get", item=item)


def read_opening(text: str) -> tuple[Recipes, str]:
    """Recipes and goal, as the opening user message gives them."""
    recipes, goal = Recipes(), ""
    for line in text.splitlines():
        head, _, tail = line.partition(":")
        if head == "Goal":
            goal = tail.strip(" .")
        elif made := read_listing(head):
            (item, makes), *_ = made.items()
            recipes[item] = Recipe(makes=makes, of=read_listing(tail))
    if goal not in recipes:
        raise UserError("policy=craft_expert finds no goal with a recipe in this task. Use task=craft env=craft.")
    return recipes, goal
