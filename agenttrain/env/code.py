"""Task -> Episode: try code in an interpreter, then submit a program that tests verify (CodeAct, arXiv 2402.01030)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agenttrain.env.session import Session
from agenttrain.env.tools import BadCall, answers, read_call, refused, tool
from agenttrain.errors import UserError
from agenttrain.ranges import Count, Positive
from agenttrain.sandbox.grader import grade
from agenttrain.sandbox.sandbox import Limits, Sandbox
from agenttrain.types import Message, Observation, Task, Tool

TOOLS = [
    tool("python", "Run code.", code={"type": "string"}),
    tool("submit", "Give the whole program.", code={"type": "string"}),
]


class Code:
    """An interpreter for each episode, behind walls, and a grader that runs the submitted program elsewhere.

    Args:
        walls: `bubblewrap`, `landlock`, or `auto` for the first of these that holds here (docs/sandbox.md).
        seconds: for one run, and for the program in each test; a run that takes longer ends its interpreter. What it
            waits for a core of a busy machine does not count (docs/sandbox.md).
        grading: seconds for all tests of a submission, by the clock; tests that are not reached have failed.
        memory: MB for all processes of an episode, on top of the interpreter's own.
        disk: MB for all its files.
        processes: processes and threads of an episode at once.
        packages: installed packages, with all that they need, that code may import besides Python's own.
        max_chars: most characters of an observation; what is longer is cut in its middle.
    """

    def __init__(
        self,
        walls: Literal["auto", "bubblewrap", "landlock"] = "auto",
        seconds: Positive = 5.0,
        grading: Positive = 20.0,
        memory: Count = 512,
        disk: Count = 16,
        processes: Count = 16,
        packages: Sequence[str] | None = None,
        max_chars: Count = 2000,
    ) -> None:
        if walls not in ("auto", "bubblewrap", "landlock"):
            raise UserError(f"No env.walls={walls!r}. Choose auto, bubblewrap or landlock.")
        self.seconds, self.grading, self.max_chars = seconds, grading, max_chars
        self.sandbox = Sandbox(walls, Limits(memory, processes=processes, disk=disk), packages or ())

    def episode(self, task: Task, seed: int) -> CodeEpisode:
        """
        Raises:
            UserError: the task has no tests.
        """
        if not isinstance(task.answer, dict) or not {"calls", "programs", "sources"} & set(task.answer):
            raise UserError(f"Task {task.id} has no tests for env=code. Use task=code.")
        return CodeEpisode(task, self, seed)


class CodeEpisode:
    """One attempt, over at the first `submit`.

    `feedback` of a run holds what the interpreter tells of itself (see `Session.run`). Of a submission it holds what
    the grader saw: `tests`, `tests_passed`, `faults` (how the program failed, by name) and `success` (all passed).
    """

    def __init__(self, task: Task, settings: Code, seed: int) -> None:
        self.task, self.settings = task, settings
        self.session = Session(settings.sandbox, seed, settings.seconds, settings.max_chars)

    @property
    def tools(self) -> list[Tool]:
        return TOOLS

    @property
    def state(self) -> str:
        """Task and the runs that made the interpreter's names."""
        return f"{self.task.id} {self.session.state}"

    def start(self) -> list[Message]:
        return self.task.messages

    def step(self, action: Message) -> Observation:
        state, call = self.state, read_call(action, TOOLS)
        if isinstance(call, BadCall):
            return refused(action, call, state)
        code = call.arguments["code"]
        if call.name == "python":
            text, facts = self.session.run(code)
            return Observation(answers(action, call, text), state=state, feedback=facts)
        self.session.restart()  # nothing that it left running is to take the program's cores
        verdict = grade(self.settings.sandbox, code, self.task.answer, self.settings.seconds, self.settings.grading)
        facts = {
            "tests": len(verdict.passed),
            "tests_passed": sum(verdict.passed),
            "faults": verdict.faults,
            "success": verdict.success,
        }
        return Observation([], float(verdict.success), True, state, facts)

    def close(self) -> None:
        self.session.close()
