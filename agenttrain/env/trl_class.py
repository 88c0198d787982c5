"""Task -> Episode by a class written for TRL's `environment_factory` (trl 1.16): `reset`, and one method per tool."""

from __future__ import annotations

import copy
import hashlib
import importlib
import inspect
import json
import threading
from functools import cache
from pathlib import Path
from typing import Any

from agenttrain.env.callables import result, source_version, tools_of
from agenttrain.env.tools import BadCall, answer, read_call
from agenttrain.errors import UserError
from agenttrain.ranges import Count
from agenttrain.types import InfraError, Message, Observation, Task, Tool

_NO_TOOLS = ("reset", "get_reward", "close")
_loading = threading.Lock()


class TrlClass:
    """Episodes of a class of the user's, one instance each, under our loop: with its limits and its typed ends.

    As in TRL, `reset(**row)` takes the task's `data` with `prompt`, `answer` and (ours) `seed`, and what it returns is
    appended to the last message; public methods are the tools, documented in Google's style; `get_reward()` is asked
    once, at the end; and a message without a call ends the episode. Read from the instance where it has them:

    - `done`: true when the episode is over; a message without a call is then an error like any other.
    - `reward`: the return so far, if there is no `get_reward`; each turn is given what it added.
    - `success`: the outcome; without it, a final return of at least `success_at` is one.
    - `close()`: called at the end of the episode, and no tool.

    The state key is the history of calls and results, as the class has no other.

    Args:
        target: `package.module:Class`, importable where agenttrain runs.
        success_at: lowest return that counts as success, for a class without `success`.
        max_chars: most characters of a tool's result; what is longer is cut.
    """

    def __init__(self, target: str, success_at: float = 1.0, max_chars: Count = 4000) -> None:
        self.target, self.success_at, self.max_chars = target, success_at, max_chars

    @property
    def versions(self) -> dict[str, str]:
        """A digest of the file that holds the class."""
        return source_version(Path(inspect.getfile(_load(self.target)[0])))

    def episode(self, task: Task, seed: int) -> TrlEpisode:
        """
        Raises:
            UserError: there is no such class, or it is none that TRL would take.
        """
        with _loading:  # many episodes start at once
            game, tools = _load(self.target)
        return TrlEpisode(task, game(), tools, seed, self)


class TrlEpisode:
    """One attempt, played on one instance. All calls of an action are executed, in order."""

    def __init__(self, task: Task, game: Any, tools: list[Tool], seed: int, settings: TrlClass) -> None:
        self.task, self.game, self.seed, self.settings = task, game, seed, settings
        self._tools = tools
        self._total = 0.0
        self._history: list[Any] = []

    @property
    def tools(self) -> list[Tool]:
        return self._tools

    def start(self) -> list[Message]:
        row = {"seed": self.seed, "prompt": self.task.messages, "answer": self.task.answer, **self.task.data}
        accepted = inspect.signature(self.game.reset).parameters
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
            row = {name: value for name, value in row.items() if name in accepted}
        text = self.game.reset(**copy.deepcopy(row))
        if not text:
            return self.task.messages
        *before, last = self.task.messages
        return [*before, {**last, "content": last["content"] + text}]

    def step(self, action: Message) -> Observation:
        state = hashlib.sha256(json.dumps(self._history, sort_keys=True, default=str).encode()).hexdigest()
        messages, facts = [], {}
        tells_end, calls = hasattr(self.game, "done"), action.get("tool_calls") or []
        # what is no call is still put to `read_call`, whose answer says what was expected
        for single in [{"tool_calls": [call]} for call in calls] or ([{}] if tells_end else []):
            message, fact = self._execute(single)
            messages.append(message)
            facts = fact | facts
        done = bool(self.game.done) if tells_end else not calls
        reward = self._gain(done)
        if done:
            success = getattr(self.game, "success", None)
            facts["success"] = self._total >= self.settings.success_at if success is None else bool(success)
        return Observation(messages, reward, done, state, facts)

    def close(self) -> None:
        if hasattr(self.game, "close"):
            self.game.close()

    def _execute(self, action: Message) -> tuple[Message, dict[str, Any]]:
        call = read_call(action, self._tools)
        if isinstance(call, BadCall):
            return answer(call, call.reason), {"invalid_call": call.reason}
        try:
            text, facts = str(result(getattr(self.game, call.name)(**call.arguments))), {}
        except InfraError:
            raise
        except Exception as error:  # how a TRL class tells that something was not allowed
            text, facts = f"Error: {error}", {"tool_error": str(error)}
        text = text[: self.settings.max_chars]
        self._history.append([call.name, call.arguments, text])
        return answer(call, text), facts

    def _gain(self, done: bool) -> float:
        """What this turn added to the return."""
        before = self._total
        if not hasattr(self.game, "get_reward"):
            self._total = float(getattr(self.game, "reward", None) or 0.0)
        elif done:
            self._total = float(result(self.game.get_reward()))
        return self._total - before


@cache
def _load(target: str) -> tuple[type, list[Tool]]:
    module, _, name = target.partition(":")
    try:
        game = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"env.target={target} cannot be imported ({error}). Write package.module:Class.") from None
    if not inspect.isclass(game) or not callable(getattr(game, "reset", None)):
        raise UserError(f"env.target={target} is no class with a method reset, as TRL's environment_factory wants.")
    methods = [m for n, m in inspect.getmembers(game, inspect.isfunction) if n not in _NO_TOOLS and n[0] != "_"]
    return game, tools_of(methods, f"env.target={target}")
