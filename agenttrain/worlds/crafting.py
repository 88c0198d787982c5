"""The rules and wording of the crafting world, shared by its tasks, its environment and its expert."""

from __future__ import annotations

import re
from collections import Counter
from typing import TypedDict

Items = dict[str, int]
"""Item name -> how many of it, at least 1."""


class Recipe(TypedDict):
    """One act of crafting."""

    makes: int
    """Units that one craft yields."""
    of: Items
    """Units that one craft consumes."""


Recipes = dict[str, Recipe]
"""Craftable item -> its one recipe. Whatever occurs as an ingredient only is raw: gathered, one unit a call."""


def owed(recipes: Recipes, goal: str, inventory: Items) -> Items:
    """Calls still due for each item until `goal` is there; the sum is the optimal number of steps.

    Every item has one recipe and no recipe needs its own product, so the shortest plan is unique up to order: once all
    that consumes an item is counted, so is the item.
    """
    demand, calls = Counter([goal]), Items()
    for item in reversed(ingredients_first(recipes, goal)):
        short = demand[item] - inventory.get(item, 0)
        if short <= 0:
            continue
        recipe = recipes.get(item, Recipe(makes=1, of={}))
        calls[item] = -(-short // recipe["makes"])
        for ingredient, count in recipe["of"].items():
            demand[ingredient] += count * calls[item]
    return calls


def shortage(recipes: Recipes, item: str, inventory: Items) -> list[str]:
    """From `item` down to what can be had at once: each name is the first ingredient that the one before it is short
    of. The last is always among what is owed for `item`, whatever the inventory."""
    for ingredient, count in recipes[item]["of"].items() if item in recipes else ():
        if inventory.get(ingredient, 0) < count:
            return [item, *shortage(recipes, ingredient, inventory)]
    return [item]


def ingredients_first(recipes: Recipes, goal: str) -> list[str]:
    """Every item of the goal's recipe tree once, none before its own ingredients; the goal comes last."""
    order: dict[str, None] = {}

    def visit(item: str) -> None:
        for ingredient in recipes[item]["of"] if item in recipes else ():
            if ingredient not in order:
                visit(ingredient)
        order[item] = None

    visit(goal)
    return list(order)


def listing(items: Items) -> str:
    """`2 log, 1 plank`, in alphabetical order, or `nothing`: one text for one inventory."""
    return ", ".join(f"{items[name]} {name}" for name in sorted(items)) or "nothing"


def read_listing(text: str) -> Items:
    """The inverse of `listing`; keeps the order of the text."""
    return {name: int(count) for count, name in re.findall(r"(\d+) (\w+)", text)}
