"""Task -> Episode of an environment of Gymnasium whose state is text: `act` takes an action, a rendering is shown."""

from __future__ import annotations

import hashlib
import re
from functools import cached_property
from importlib import metadata
from typing import Any

from agenttrain.env.tools import BadCall, answers, read_call, refused, tool
from agenttrain.errors import UserError
from agenttrain.ranges import Count
from agenttrain.types import Message, Observation, Task, Tool

_HIGHLIGHT = re.compile(r"\x1b\[4\dm(.*?)\x1b\[0m")
_ESCAPE = re.compile(r"\x1b\[[\d;]*m")


class Gymnasium:
    """Any registered environment with discrete actions, or actions that are text; seeded by the episode's seed.

    It is shown by its rendering as text (`render_mode="ansi"`) where it has one, a highlighted place in brackets, else
    by its observation. A message says the text before the first action; the state key is the observation.

    Args:
        id: of the environment, as `gymnasium.make` takes it; `package:Name-v0` imports the package first.
        options: further arguments of `gymnasium.make`.
        actions: names of the discrete actions, from the first; None for their numbers.
        success_at: lowest return of an episode that counts as success.
        max_chars: most characters of an observation; what is longer is cut.
    """

    def __init__(
        self,
        id: str,
        options: dict[str, Any] | None = None,
        actions: list[str] | None = None,
        success_at: float = 1.0,
        max_chars: Count = 4000,
    ) -> None:
        self.id, self.options, self.actions = id, options, actions
        self.success_at, self.max_chars = success_at, max_chars

    @cached_property
    def versions(self) -> dict[str, str]:
        """Of Gymnasium, and of the package that the environment's id names."""
        packages, installed = {"gymnasium", *self.id.split(":")[:-1]}, metadata.packages_distributions()
        return {name: metadata.version(installed[name][0]) for name in sorted(packages & installed.keys())}

    def episode(self, task: Task, seed: int) -> GymnasiumEpisode:
        """
        Raises:
            UserError: gymnasium is not installed, knows no such environment, or its actions are no text.
        """
        return GymnasiumEpisode(task, self._make(), self, seed)

    def _make(self) -> Any:
        try:
            import gymnasium
        except ImportError:
            raise UserError("env=gymnasium needs gymnasium: pip install 'agenttrain[gymnasium]'.") from None
        try:
            made = gymnasium.make(self.id, **(self.options or {}))
            if "ansi" in made.metadata.get("render_modes", []):
                made.close()
                made = gymnasium.make(self.id, render_mode="ansi", **(self.options or {}))
            return made
        except (gymnasium.error.Error, ImportError, TypeError) as error:
            raise UserError(f"env.id={self.id} cannot be made: {error}") from None


class GymnasiumEpisode:
    """One attempt. `feedback` of the last turn holds `success` and `truncated` (by the environment's own limit)."""

    def __init__(self, task: Task, game: Any, settings: Gymnasium, seed: int) -> None:
        self.task, self.game, self.settings, self.seed = task, game, settings, seed
        self._names = _names(game.action_space, settings)
        kind = {"type": "string"} | ({"enum": self._names} if self._names else {})
        self._tools = [tool("act", "Take an action.", action=kind)]
        self._seen: Any = None
        self._total = 0.0

    @property
    def tools(self) -> list[Tool]:
        return self._tools

    def start(self) -> list[Message]:
        self._seen, _ = self.game.reset(seed=self.seed % 2**32)
        self.game.action_space.seed(self.seed % 2**32)
        *before, last = self.task.messages
        return [*before, {**last, "content": f"{last['content']}\n{self._shown()}"}]

    def step(self, action: Message) -> Observation:
        state, call = _key(self._seen), read_call(action, self._tools)
        if isinstance(call, BadCall):
            return refused(action, call, state)
        chosen = call.arguments["action"]
        taken = self._names.index(chosen) + int(self.game.action_space.start) if self._names else chosen
        self._seen, reward, terminated, truncated, _ = self.game.step(taken)
        self._total += float(reward)
        done = bool(terminated or truncated)
        facts = {"success": self._total >= self.settings.success_at, "truncated": bool(truncated)} if done else {}
        return Observation(answers(action, call, self._shown()), float(reward), done, state, facts)

    def close(self) -> None:
        self.game.close()

    def _shown(self) -> str:
        text = self.game.render() if self.game.render_mode == "ansi" else str(self._seen)
        return _ESCAPE.sub("", _HIGHLIGHT.sub(r"[\1]", text)).strip()[: self.settings.max_chars]


def _names(space: Any, settings: Gymnasium) -> list[str]:
    """Of the discrete actions; none where an action is text."""
    import gymnasium

    if isinstance(space, gymnasium.spaces.Text):
        return []
    if not isinstance(space, gymnasium.spaces.Discrete):
        raise UserError(f"env.id={settings.id} wants actions of {space}; env=gymnasium takes Discrete and Text.")
    names = settings.actions or [str(number + int(space.start)) for number in range(int(space.n))]
    if len(names) != space.n:
        raise UserError(f"env.id={settings.id} has {space.n} actions, env.actions names {len(names)}.")
    return names


def _key(seen: Any) -> str:
    """The same for equal observations, arrays and dicts of arrays included."""
    whole = seen.tolist() if hasattr(seen, "tolist") else seen
    if isinstance(whole, dict):
        whole = {name: _key(part) for name, part in whole.items()}
    return hashlib.sha256(repr(whole).encode()).hexdigest()[:16]
