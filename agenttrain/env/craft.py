"""Task -> Episode: gather and craft until the goal is there or the steps are used up."""

from __future__ import annotations

import math
from typing import Any

from agenttrain.env.tools import BadCall, Call, answers, read_call, tool
from agenttrain.errors import UserError
from agenttrain.types import Message, Observation, Task, Tool
from agenttrain.worlds.crafting import Items, Recipes, listing, owed, shortage

TOOLS = [
    tool("get", "Gather one raw item.", item={"type": "string"}),
    tool("craft", "Craft an item.", item={"type": "string"}),
]


class Craft:
    """The world of `task=craft`; nothing in it is random.

    Args:
        slack: step budget over the optimal number of steps, at least 1; the budget is rounded up.
        hints: each observation names what is short, from the goal down to what can be had at once. Without them a
            policy must read the recipes and plan, which random weights do not learn in minutes.
    """

    def __init__(self, slack: float = 1.25, hints: bool = False) -> None:
        if slack < 1:
            raise UserError(f"env.slack={slack} leaves too few steps for any task of craft. Use 1 or more.")
        self.slack, self.hints = slack, hints

    def episode(self, task: Task, seed: int) -> CraftEpisode:
        """
        Raises:
            UserError: the task is not one of `task=craft`.
        """
        if "recipes" not in task.data:
            raise UserError(f"Task {task.id} has no recipes for env=craft. Use task=craft.")
        return CraftEpisode(task, math.ceil(task.data["optimal"] * self.slack), self.hints)


class CraftEpisode:
    """One attempt within `budget` steps; a call that fails, or is none, costs a step too.

    Every observation ends in the whole inventory. `feedback` holds `gathered` or `crafted` (the item), `needed` (the
    step was one of those still owed for the goal), `steps_left`, and the shared keys.
    """

    def __init__(self, task: Task, budget: int, hints: bool = False) -> None:
        self.task, self.hints = task, hints
        self.goal: str = task.data["goal"]
        self.recipes: Recipes = task.data["recipes"]
        self.raw = {item for recipe in self.recipes.values() for item in recipe["of"]} - set(self.recipes)
        self.inventory: Items = dict(task.data["inventory"])
        self.steps_left = budget

    @property
    def tools(self) -> list[Tool]:
        return TOOLS

    @property
    def state(self) -> str:
        """Goal and inventory. Steps left stay out: they decide nothing that the policy can see, and with them no
        state would ever be met twice."""
        return f"{self.goal}: {listing(self.inventory)}"

    def start(self) -> list[Message]:
        *before, last = self.task.messages
        return [*before, last | {"content": last["content"] + self._hint()}]

    def step(self, action: Message) -> Observation:
        state, call = self.state, read_call(action, TOOLS)
        self.steps_left -= 1
        if isinstance(call, BadCall):
            problem, facts = call.reason, {"invalid_call": call.reason}
        else:
            problem, facts = self._execute(call)
        success = self.goal in self.inventory
        done = success or self.steps_left <= 0
        facts |= {"steps_left": self.steps_left} | ({"success": success} if done else {})
        text = f"{problem} You have: {listing(self.inventory)}.{self._hint()}".lstrip()
        return Observation(answers(action, call, text), float(success), done, state, facts)

    def close(self) -> None:
        pass

    def _hint(self) -> str:
        """What is short, from the goal down to what can be had at once."""
        return f" Short of: {', '.join(shortage(self.recipes, self.goal, self.inventory))}." if self.hints else ""

    def _execute(self, call: Call) -> tuple[str, dict[str, Any]]:
        """What went wrong (or nothing), and the facts of this step."""
        item = call.arguments["item"]
        problem = self._obstacle(call.name, item)
        if problem:
            return problem, {"tool_error": problem, "needed": False}
        needed = item in owed(self.recipes, self.goal, self.inventory)
        if call.name == "get":
            self._add(item, 1)
            return "", {"gathered": item, "needed": needed}
        for ingredient, count in self.recipes[item]["of"].items():
            self._add(ingredient, -count)
        self._add(item, self.recipes[item]["makes"])
        return "", {"crafted": item, "needed": needed}

    def _obstacle(self, name: str, item: str) -> str:
        if item not in self.recipes and item not in self.raw:
            return f"Cannot {name} {item}: not in the recipes."
        if name == "get":
            return "" if item in self.raw else f"Cannot get {item}: craft it."
        if item in self.raw:
            return f"Cannot craft {item}: get it."
        ingredients = self.recipes[item]["of"].items()
        missing = {n: count - self.inventory.get(n, 0) for n, count in ingredients if count > self.inventory.get(n, 0)}
        return f"Cannot craft {item}: missing {listing(missing)}." if missing else ""

    def _add(self, item: str, count: int) -> None:
        self.inventory[item] = self.inventory.get(item, 0) + count
        if not self.inventory[item]:
            del self.inventory[item]
