"""-> Task: make an item out of a seeded tree of recipes, in 3 to 50 steps."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from typing import Literal

from agenttrain.errors import UserError
from agenttrain.ranges import Count, Whole
from agenttrain.types import Message, Task
from agenttrain.worlds.crafting import Items, Recipe, Recipes, ingredients_first, listing, owed

TIERS = (
    ("log", "stone", "clay", "sand", "wool", "reed", "ore", "coal"),
    ("plank", "brick", "glass", "yarn", "rope", "iron", "ash"),
    ("beam", "tile", "lens", "cloth", "net", "nail", "glue"),
    ("table", "wall", "lamp", "sail", "ladder", "hammer"),
    ("door", "oven", "clock", "tent", "cart"),
    ("house", "mill", "boat", "wagon"),
    ("tower", "ship", "castle"),
)
"""The items. Tier 0 is raw; an item of tier d has a recipe tree d levels deep. Names are one word, so that a small
tokenizer trained on such text gives each a token of its own."""

COST = ((1, 1), (4, 6), (7, 10), (11, 16), (17, 25), (26, 37), (38, 50))
"""Fewest and most steps that an item of each tier may take from an empty inventory, in every world of 3 units."""

DEPTHS = {"train": (1, 2, 3, 4), "heldout": (1, 2, 3, 4), "deep": (5, 6)}

SYSTEM = "Make the goal. Use get for raw items, craft for items with a recipe."


class Craft:
    """Crafting tasks of one world, their depths in turn; the same arguments always give the same tasks.

    `train` and `heldout` share depths and most goals, and never a combination of goal and useful starting items: a
    hash of the two decides the side (one in four is held out), and items of no use do not enter it, so that no
    held-out task is a training task with other clutter. `deep` has goals whose trees are deeper than all of these.

    Args:
        split: `train`, `heldout` or `deep`.
        n: number of tasks.
        seed: of the choice of goals and starting items.
        world: seed of the recipes.
        depth: levels of the goal's recipe tree to take in turn, 1 to 4, for `deep` 5 and 6; None for all of them.

    Optimal number of steps over 30 worlds (fewest, median, most), and words of the opening user message (mean):

        depth    1        2         3         4          5          6
        steps    3 4 6    5 7 10    8 12 16   12 19 25   18 28 37   26 39 50
        words    17       24        32        42         52         64
    """

    def __init__(
        self,
        split: Literal["train", "heldout", "deep"] = "train",
        n: Count = 100,
        seed: Whole = 0,
        world: Whole = 0,
        depth: Sequence[int] | None = None,
        units: Count = 3,
    ) -> None:
        if split not in DEPTHS:
            raise UserError(f"No split {split!r} in task=craft. Choose one of: {', '.join(DEPTHS)}.")
        self.split, self.n, self.seed, self.world, self.units = split, n, seed, world, units
        self.depth = tuple(depth) if depth is not None else DEPTHS[split]
        if not self.depth or not set(self.depth) <= set(DEPTHS[split]):
            raise UserError(f"task.depth={list(self.depth)} must name depths of split {split}: {DEPTHS[split]}.")

    def __iter__(self) -> Iterator[Task]:
        rng = random.Random(f"{self.split}/{self.world}/{self.seed}")
        recipes, seen = make_world(self.world, self.units), set[str]()
        for number in range(self.n):
            tier = TIERS[self.depth[number % len(self.depth)]]
            for _ in range(1000):
                goal = rng.choice(tier)
                task = self._task(recipes, goal, draw_inventory(recipes, goal, rng, self.units))
                if task is not None and task.id not in seen:
                    break
            else:
                raise UserError(f"task=craft has only {number} distinct tasks for these settings, not n={self.n}.")
            seen.add(task.id)
            yield task

    def _task(self, recipes: Recipes, goal: str, inventory: Items) -> Task | None:
        """The task, or None if it belongs to another split."""
        tree = ingredients_first(recipes, goal)
        useful = {item: count for item, count in inventory.items() if item in tree}
        heldout = int(_digest(self.world, goal, useful), 16) % 4 == 0
        if self.split != "deep" and heldout != (self.split == "heldout"):
            return None
        digest = _digest(self.world, goal, inventory)[:10]
        own = {item: recipes[item] for item in tree if item in recipes}
        data = {
            "goal": goal,
            "inventory": inventory,
            "recipes": own,
            "optimal": sum(owed(own, goal, inventory).values()),
            "depth": next(depth for depth, names in enumerate(TIERS) if goal in names),
        }
        return Task(f"craft/{self.world}/{self.split}/{goal}-{digest}", _opening(own, goal, inventory), data=data)


def make_world(seed: int, units: int = 3) -> Recipes:
    """One recipe for every item above tier 0: an ingredient of the tier just below and up to two of any lower tier,
    1 to `units` of each. With one unit a recipe makes one, too, so that a plan needs no counting."""
    rng = random.Random(f"world/{seed}")
    recipes: Recipes = {}
    for tier in range(1, len(TIERS)):
        lower = [item for names in TIERS[:tier] for item in names]
        for item in TIERS[tier]:
            while True:
                first = rng.choice(TIERS[tier - 1])
                others = rng.sample([name for name in lower if name != first], rng.randint(0, 2))
                of = {name: rng.randint(1, units) for name in rng.sample([first, *others], 1 + len(others))}
                recipes[item] = Recipe(makes=2 if units > 1 and rng.random() < 0.2 else 1, of=of)
                fewest, most = COST[tier] if units == 3 else (1, COST[-1][1])
                if fewest <= sum(owed(recipes, item, {}).values()) <= most:
                    break
    return recipes


def draw_inventory(recipes: Recipes, goal: str, rng: random.Random, units: int = 3) -> Items:
    """Up to three useful and two useless kinds of items, which leave at least two thirds of the work."""
    tree = ingredients_first(recipes, goal)
    useless = [item for names in TIERS for item in names if item not in tree]
    work = sum(owed(recipes, goal, {}).values())
    while True:
        useful = rng.sample(tree[:-1], min(rng.randint(0, 3), len(tree) - 1))
        names = useful + rng.sample(useless, rng.randint(0, 2))
        inventory = {name: rng.randint(1, min(2, units)) for name in sorted(names)}
        if 3 * sum(owed(recipes, goal, inventory).values()) >= 2 * work:
            return inventory


def _opening(recipes: Recipes, goal: str, inventory: Items) -> list[Message]:
    lines = [f"{recipe['makes']} {item}: {_ingredients(recipe)}." for item, recipe in recipes.items()]
    # seeded by the task's content, so that a task reads the same whichever draw it came from
    random.Random(_digest(goal, inventory)).shuffle(lines)
    text = "\n".join(["Recipes:", *lines, f"Goal: {goal}.", f"You have: {listing(inventory)}."])
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]


def _ingredients(recipe: Recipe) -> str:
    return ", ".join(f"{count} {item}" for item, count in recipe["of"].items())


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
