"""Task -> Episode: think, then act by code in one Python, or propose a solution (CodeAct, arXiv 2402.01030).

The paper's two rivals are the same episode with another form of actions: a call of one tool as JSON, or as text.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Sequence
from typing import Any, Literal

from agenttrain.env.session import Session
from agenttrain.errors import UserError
from agenttrain.ranges import Count, Positive
from agenttrain.sandbox.sandbox import Limits, Sandbox
from agenttrain.syntax import parse
from agenttrain.types import Message, Observation, Task, Tool

PROTOCOL = """Solve the task step by step. In each step think first, in a sentence or two; then do one of two things:
act, <execute>{form}</execute>, or answer, <solution>the answer alone</solution>.
You have {steps} steps, of which {solutions} may be answers."""
FORMS = {
    "code": "Python code; its names stay from step to step; print what you want to see",
    "json": 'a call of one tool, as {"tool": "name", "args": ["first", 2]}',
    "text": "a call of one tool, as name, first, 2",
}
_BLOCK = re.compile(r"<(execute|solution)>(.*?)</\1>", re.DOTALL)


class Codeact:
    """An interpreter for each episode, in which the task's tools are functions, behind walls.

    Args:
        actions: `code` executes any Python; `json` and `text` call one tool a step, in the same interpreter.
        max_steps: actions of an episode, malformed ones and answers included.
        max_solutions: answers that an episode may try.
        seconds: for one run; a run that takes longer ends its interpreter. Keep it below `rollout.tool_timeout`.
        max_chars: most characters shown of an output; what is longer is cut in its middle.
        walls: `bubblewrap`, `landlock`, or `auto` for the first of these that holds here (docs/sandbox.md).
        memory: MB for all processes of an episode, on top of the interpreter's own.
        disk: MB for all its files.
        processes: processes and threads of an episode at once.
        packages: installed packages, with all that they need, that code may import besides Python's own.
    """

    def __init__(
        self,
        actions: Literal["code", "json", "text"] = "code",
        max_steps: Count = 5,
        max_solutions: Count = 2,
        seconds: Positive = 25.0,
        max_chars: Count = 2000,
        walls: Literal["auto", "bubblewrap", "landlock"] = "auto",
        memory: Count = 512,
        disk: Count = 16,
        processes: Count = 16,
        packages: Sequence[str] | None = None,
    ) -> None:
        self.actions, self.max_steps, self.max_solutions = actions, max_steps, max_solutions
        self.seconds, self.max_chars = seconds, max_chars
        self.sandbox = Sandbox(walls, Limits(memory, processes=processes, disk=disk), packages or ())

    def episode(self, task: Task, seed: int) -> CodeactEpisode:
        """
        Raises:
            UserError: the task has no answer, or its tools are no Python.
        """
        if not isinstance(task.answer, str) or not isinstance(task.data.get("tools"), str):
            raise UserError(f"Task {task.id} has no answer and tools for env=codeact. Use task=codeact.")
        return CodeactEpisode(task, self, seed)


class CodeactEpisode:
    """One attempt, over at the right answer, at the last one that may be tried, or when no step is left.

    `feedback` of a run holds what the interpreter tells of itself (see `Session.run`); of an answer `solutions`, how
    many were tried; and where the episode is over `success`.
    """

    def __init__(self, task: Task, settings: Codeact, seed: int) -> None:
        source = task.data["tools"]
        self.task, self.settings, self.signatures = task, settings, signatures(source, task.id)
        self.session = Session(settings.sandbox, seed, settings.seconds, settings.max_chars, source)
        self.steps = self.solutions = 0

    @property
    def tools(self) -> list[Tool]:
        """None by schema: a step is text, and the system message tells of the functions."""
        return []

    @property
    def state(self) -> str:
        """Task, the runs that made the interpreter's names, and what is left to try."""
        return f"{self.task.id} {self.session.state} {self.steps} {self.solutions}"

    def start(self) -> list[Message]:
        settings = self.settings
        form = FORMS[settings.actions]
        text = PROTOCOL.format(form=form, steps=settings.max_steps, solutions=settings.max_solutions)
        listed = "".join(f"\n- {signature}" for signature in self.signatures.values())
        told = f"{text}\nTools:{listed}" if listed else text
        return [{"role": "system", "content": told}, *self.task.messages]

    def step(self, action: Message) -> Observation:
        state, text = self.state, str(action.get("content") or "")
        self.steps += 1
        facts: dict[str, Any]
        try:
            kind, said = read(text)
            code = self._code(said) if kind == "execute" else ""
        except ValueError as fault:
            shown, facts = str(fault), {"invalid_call": str(fault)}
        else:
            shown, facts = self.session.run(code) if kind == "execute" else self._judge(said)
        done = self.steps >= self.settings.max_steps or self.solutions >= self.settings.max_solutions
        if done := done or facts.get("success", False):
            facts = {"success": False} | facts
        messages = [] if done else [{"role": "user", "content": f"Observation:\n{shown}\n{self._left()}"}]
        return Observation(messages, float(facts.get("success", False)), done, state, facts)

    def close(self) -> None:
        self.session.close()

    def _judge(self, answer: str) -> tuple[str, dict[str, Any]]:
        self.solutions += 1
        right = {"success": True} if same(answer, self.task.answer) else {}
        return "Your answer is wrong.", {"solutions": self.solutions, **right}

    def _left(self) -> str:
        steps, solutions = self.settings.max_steps - self.steps, self.settings.max_solutions - self.solutions
        return f"Left: {steps} steps, {solutions} answers."

    def _code(self, said: str) -> str:
        """What the interpreter is to run.

        Raises:
            ValueError: it is no call of a tool, in the form of this environment.
        """
        if self.settings.actions == "code":
            return said
        name, arguments = from_json(said) if self.settings.actions == "json" else from_text(said)
        if name not in self.signatures:
            raise ValueError(f"Unknown tool {name[:50]!r}. Tools: {', '.join(self.signatures)}.")
        return f"print({name}({', '.join(map(repr, arguments))}))"


def read(text: str) -> tuple[str, str]:
    """(`execute` or `solution`, what stands in its tags); several blocks of one kind are joined by line feeds.

    Raises:
        ValueError: there is no block, or there are both kinds.
    """
    blocks: dict[str, list[str]] = {}
    for kind, said in _BLOCK.findall(text):
        blocks.setdefault(kind, []).append(said.strip())
    if len(blocks) != 1:
        found = "both" if blocks else "neither"
        raise ValueError(f"Write one of <execute>...</execute> and <solution>...</solution>; you wrote {found}.")
    [(kind, said)] = blocks.items()
    return kind, "\n".join(said)


def from_json(said: str) -> tuple[str, list[Any]]:
    """
    Raises:
        ValueError: it is not `{"tool": name, "args": [...]}` with texts, numbers and truth values.
    """
    try:
        match json.loads(said):
            case {"tool": str(name), "args": list(arguments), **rest} if not rest:
                if all(isinstance(argument, str | int | float) for argument in arguments):
                    return name, arguments
    except (ValueError, RecursionError):
        pass
    raise ValueError('Expected {"tool": "name", "args": [...]}, with texts and numbers.')


def from_text(said: str) -> tuple[str, list[Any]]:
    """`name, first, 2`: what reads as a number is one."""
    name, *arguments = (part.strip() for part in said.split(","))
    return name, [number(argument) for argument in arguments]


def number(text: str) -> int | float | str:
    """The number that a text is; the text if it is none, or none that is finite."""
    for kind in (int, float):
        try:
            if math.isfinite(value := kind(text)):
                return value
        except (ValueError, OverflowError):
            continue
    return text


def same(given: str, wanted: str) -> bool:
    """Equal numbers, within 10^-6 of their size and whatever commas part their digits, or equal texts."""
    one, other = (number(text.strip().replace(",", "")) for text in (given, wanted))
    if isinstance(one, str) or isinstance(other, str):
        return " ".join(given.split()).casefold() == " ".join(wanted.split()).casefold()
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)


def signatures(source: str, task: str) -> dict[str, str]:
    """Name of each function in `source` -> `name(arguments): the first line of its docstring`; one of a name that
    begins with an underscore is no tool.

    Raises:
        UserError: `source` is no Python.
    """
    try:
        tree = parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"The tools of task {task} are no Python: {error}") from None
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    told = {node.name: (ast.get_docstring(node) or "").partition("\n")[0] for node in functions}
    return {
        node.name: f"{node.name}({ast.unparse(node.args)})" + (f": {told[node.name]}" if told[node.name] else "")
        for node in functions
    }
