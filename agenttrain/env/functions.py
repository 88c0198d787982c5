"""Task -> Episode by a file of plain Python functions: each is a tool, and `finish` answers."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
from pathlib import Path
from types import ModuleType
from typing import Any

from agenttrain.env.callables import result, source_version, tools_of
from agenttrain.env.hopqa import exact_match
from agenttrain.env.tools import BadCall, answers, read_call, refused, tool
from agenttrain.errors import UserError
from agenttrain.ranges import Count
from agenttrain.types import InfraError, Message, Observation, Task, Tool

FINISH = tool("finish", "Give the answer.", answer={"type": "string"})


class Functions:
    """The public functions of a file, which is run anew for each episode: its variables are the episode's own.

    What a file may have besides, and what is no tool for its underscore:

    - `_start(seed=..., **task.data)` sets the scene; a text that it returns is appended to the task.
    - `_verify(given, answer)` says whether the answer is right; without it, it must equal the task's as SQuAD compares.

    The state key is the history of calls and results. The file is the user's own code and runs in this process.

    Args:
        module: path of the file; type hints and Google's docstrings describe its functions.
        max_chars: most characters of a result; what is longer is cut.
    """

    def __init__(self, module: str, max_chars: Count = 4000) -> None:
        self.module, self.max_chars = module, max_chars

    @property
    def versions(self) -> dict[str, str]:
        """A digest of the file."""
        return source_version(Path(self.module))

    def episode(self, task: Task, seed: int) -> FunctionsEpisode:
        """
        Raises:
            UserError: the file is missing, fails, or holds no function that is a tool.
        """
        return FunctionsEpisode(task, _run(self.module), self, seed)


class FunctionsEpisode:
    """One attempt, over at the first `finish`. A function tells with an exception that something was not allowed."""

    def __init__(self, task: Task, module: ModuleType, settings: Functions, seed: int) -> None:
        self.task, self.module, self.settings, self.seed = task, module, settings, seed
        self._tools = [*tools_of(_functions(module), settings.module), FINISH]
        self._history: list[Any] = []

    @property
    def tools(self) -> list[Tool]:
        return self._tools

    def start(self) -> list[Message]:
        start = getattr(self.module, "_start", None)
        text = result(start(seed=self.seed, **self.task.data)) if start else None
        *before, last = self.task.messages
        return [*before, {**last, "content": f"{last['content']}\n{text}"}] if text else self.task.messages

    def step(self, action: Message) -> Observation:
        state = hashlib.sha256(json.dumps(self._history, default=str).encode()).hexdigest()
        call = read_call(action, self._tools)
        if isinstance(call, BadCall):
            return refused(action, call, state)
        if call.name == "finish":
            verify = getattr(self.module, "_verify", lambda given, answer: exact_match(given, str(answer)))
            success = bool(result(verify(call.arguments["answer"], self.task.answer)))
            return Observation([], float(success), True, state, {"success": success})
        text, facts = self._call(call.name, call.arguments)
        self._history.append([call.name, call.arguments, text])
        return Observation(answers(action, call, text), state=state, feedback=facts)

    def close(self) -> None:
        pass

    def _call(self, name: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """What is shown, and the facts of this step."""
        try:
            return str(result(getattr(self.module, name)(**arguments)))[: self.settings.max_chars], {}
        except InfraError:
            raise
        except Exception as error:
            reason = str(error)[: self.settings.max_chars] or type(error).__name__
            return f"Error: {reason}", {"tool_error": reason}


def _run(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise UserError(f"env.module={path} is no file of Python.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"env.module={path} fails: {type(error).__name__}: {error}") from None
    if not _functions(module):
        raise UserError(f"env.module={path} has no public function of its own.")
    return module


def _functions(module: ModuleType) -> list[Any]:
    """In the order of the file, without what it imports and without what starts with an underscore."""
    own = vars(module).items()
    return [f for n, f in own if inspect.isfunction(f) and f.__module__ == module.__name__ and n[0] != "_"]
