"""Task -> Episode: use items in a row of rooms until the end is reached or the steps are used up.

Four kinds of corridor on which strategies of credit differ, or should not (docs/environments.md).
"""

from __future__ import annotations

import math
import random
from typing import Any, Literal

from agenttrain.env.tools import BadCall, answers, read_call, tool
from agenttrain.errors import UserError
from agenttrain.ranges import Count
from agenttrain.types import Message, Observation, Task, Tool
from agenttrain.worlds.corridor import FOG, name_room, tell

Kind = Literal["loops", "fog", "crossing", "luck"]

RIGHT = {"loops": "on", "fog": "on", "crossing": "fog", "luck": "on"}
"""What the right item of a room does: leads to the next room, or into the fog before it."""

WRONG = {"loops": ("back", "first", "stay"), "fog": ("fog",), "crossing": ("stay",), "luck": ("fog",)}
"""What the wrong items of a room do, in turn, and all further ones as the last."""


class Corridor:
    """The corridors of `task=corridor`.

    Args:
        kind: what items do. The right one of a room leads on, and of the wrong ones
            `loops`: one leads a room back, one to the first room, the rest nowhere, so that states recur;
            `fog`: each leads on through fog, in which all items do the same: it can be avoided;
            `crossing`: each leads nowhere, and the right one into the fog, which must be crossed;
            `luck`: each leads on through fog, but in every second throw of a coin as the right one does.
        cells: turns that a fog takes.
        slack: step budget over the fewest steps, at least 1; the budget is rounded up.
    """

    def __init__(self, kind: Kind = "loops", cells: Count = 3, slack: float = 2.5) -> None:
        if kind not in RIGHT:
            raise UserError(f"No kind {kind!r} in env=corridor. Choose one of: {', '.join(RIGHT)}.")
        if slack < 1:
            raise UserError(f"env.slack={slack} leaves too few steps for any corridor. Use 1 or more.")
        self.kind: Kind = kind
        self.cells, self.slack = cells, slack

    def episode(self, task: Task, seed: int) -> CorridorEpisode:
        """
        Raises:
            UserError: the task is not one of `task=corridor`.
        """
        if "ways" not in task.data:
            raise UserError(f"Task {task.id} has no rooms for env=corridor. Use task=corridor.")
        fewest = len(task.data["ways"]) * (1 + self.cells * (self.kind == "crossing"))
        return CorridorEpisode(task, seed, self.kind, self.cells, math.ceil(fewest * self.slack))


class CorridorEpisode:
    """One attempt within `budget` steps; a malformed call costs a step and changes nothing.

    `feedback` holds `moved` (`on`, `fog`, `back`, `first`, `stay`), in a room `right` (the item was), `steps_left`, and
    the shared keys. Only `luck` throws coins: one for each episode's seed and all that was used so far.
    """

    def __init__(self, task: Task, seed: int, kind: Kind, cells: int, budget: int) -> None:
        self.task, self.seed, self.kind, self.cells = task, seed, kind, cells
        self.ways: list[list[str]] = task.data["ways"]
        self.room = self.fog = 0  # number of the room, and turns of the fog behind it that are left
        self.used: list[str] = []
        self.steps_left = budget

    @property
    def tools(self) -> list[Tool]:
        return [tool("use", "Use an item.", item={"type": "string", "enum": self.task.data["items"]})]

    @property
    def state(self) -> str:
        """Where in the corridor, the fog included, in which all places look alike. Steps left stay out: with them no
        state would ever be met twice."""
        room = name_room(self.task.data["corridor"], self.room)
        return f"{room}, fog {self.fog}" if self.fog else room

    def start(self) -> list[Message]:
        return [*self.task.messages, {"role": "user", "content": self._view()}]

    def step(self, action: Message) -> Observation:
        state, call = self.state, read_call(action, self.tools)
        self.steps_left -= 1
        problem, facts = "", dict[str, Any]()
        if isinstance(call, BadCall):
            problem, facts = f"{call.reason} ", {"invalid_call": call.reason}
        else:
            facts = self._use(call.arguments["item"])
        success = self.room == len(self.ways)
        done = success or self.steps_left <= 0
        facts |= {"steps_left": self.steps_left} | ({"success": success} if done else {})
        messages = answers(action, call, problem + self._view())
        return Observation(messages, float(success), done, state, facts)

    def close(self) -> None:
        pass

    def _view(self) -> str:
        if self.room == len(self.ways):
            return "the end"
        return FOG if self.fog else tell(self.state)

    def _use(self, item: str) -> dict[str, Any]:
        """Move, and tell the facts of it."""
        self.used.append(item)
        if self.fog:
            self.fog -= 1
            self.room += self.fog == 0
            return {"moved": "fog" if self.fog else "on"}
        rank, wrong = self.ways[self.room].index(item), WRONG[self.kind]
        good = rank == 0 or (self.kind == "luck" and self._lucky())
        moved = RIGHT[self.kind] if good else wrong[min(rank, len(wrong)) - 1]
        self.room = {"on": self.room + 1, "back": max(self.room - 1, 0), "first": 0}.get(moved, self.room)
        self.fog = self.cells if moved == "fog" else 0
        return {"moved": moved, "right": rank == 0}

    def _lucky(self) -> bool:
        """By seed and history: a group shares its seed, so attempts that do the same have the same luck."""
        return random.Random(f"{self.seed}/{self.used}").random() < 0.5
