"""Code, tests -> verdict, outside of the process that the code runs in.

Each test gets the code in a fresh process, which is given arguments and asked for values. What is expected never enters
it; what it returns is rebuilt from plain parts and compared elsewhere: here, or, where the tests are themselves code,
in a process that holds the tests and nothing of the model's. What is printed has no say.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypedDict

from agenttrain.sandbox import wire
from agenttrain.sandbox.interpreter import finish_program
from agenttrain.sandbox.process import Ended, Process, Unfinished, blames_machine
from agenttrain.sandbox.sandbox import Sandbox

_log = logging.getLogger(__name__)


class CallTest(TypedDict):
    """A call and the value it is to return, compared by `same`."""

    function: str
    arguments: list[Any]
    expected: Any


class ProgramTest(TypedDict):
    """A whole program's input and output, compared line by line without spaces at the ends; it must exit with 0."""

    stdin: str
    stdout: str


class Tests(TypedDict, total=False):
    """One or more kinds of tests; JSON, so that a task can hold them."""

    calls: list[CallTest]
    programs: list[ProgramTest]
    sources: list[str]
    """Pieces of Python that pass by raising nothing. With `setup` before each."""
    setup: str
    functions: list[str]
    """Names of the code under test that `sources` call. All other names are the tests' own."""


@dataclass
class Verdict:
    """What the tests said."""

    passed: list[bool] = field(default_factory=list)
    """One for each test."""
    faults: list[str] = field(default_factory=list)
    """How the code itself failed, each kind once: the name of an exception, `timeout`, `killed`."""

    @property
    def success(self) -> bool:
        """True if there are tests and all have passed."""
        return bool(self.passed) and all(self.passed)


def grade(sandbox: Sandbox, code: str, tests: Tests, seconds: float = 5.0, total: float = 20.0) -> Verdict:
    """
    Args:
        seconds: for the code in one test; what the machine made it wait for a core does not count (see `Process`).
        total: for all tests, by the clock on the wall; those that are not reached have failed.

    Raises:
        InfraError: the sandbox has failed, or `total` went by in waiting for a busy machine. That says nothing about
            the code.
        UserError: nothing on this machine can hold it.
    """
    return _Grading(sandbox, code, seconds, total).grade(tests)


class _Grading:
    def __init__(self, sandbox: Sandbox, code: str, seconds: float, total: float) -> None:
        self.sandbox, self.code, self.seconds, self.total = sandbox, code, seconds, total
        self.end = time.monotonic() + total
        self.processes: list[Process] = []
        self.verdict = Verdict()

    def grade(self, tests: Tests) -> Verdict:
        try:
            wire.pack({"define": self.code})
        except ValueError:
            self.fault("too long")
            return Verdict([False], self.verdict.faults)
        for call in tests.get("calls", []):
            self.verdict.passed.append(not self.over() and self._call(call))
        for program in tests.get("programs", []):
            self.verdict.passed.append(not self.over() and self._program(program))
        if sources := tests.get("sources"):
            passed = list(self._examine(tests, sources))
            self.verdict.passed += passed + [False] * (len(sources) - len(passed))
        return self.verdict

    def _call(self, test: CallTest) -> bool:
        subject = _Subject(self)
        try:
            answer = subject.call(test["function"], [wire.encode(argument) for argument in test["arguments"]])
        finally:
            subject.end()
        return "value" in answer and same(answer["value"], test["expected"])

    def _program(self, test: ProgramTest) -> bool:
        process = self.process(kept=4 * len(test["stdout"]) + 65536)
        try:
            result = finish_program(process, self.code, test["stdin"], self.end)
        except Unfinished:
            return not self.over()
        if result.status == "timeout":
            self.over()
        if result.status != "ok":
            self.fault(result.status)
        return result.status == "ok" and _lines(result.output) == _lines(test["stdout"])

    def _examine(self, tests: Tests, sources: list[str]) -> Iterator[bool]:
        examiner, subject = self.process(), None
        try:
            order = {"functions": tests.get("functions", []), "setup": tests.get("setup", ""), "tests": sources}
            examiner.send({"examine": order}, self.seconds)
            while "done" not in (frame := examiner.receive(self.end)):
                answer = {}
                if "passed" in frame:
                    yield frame["passed"] is True
                elif "call" in frame:
                    assert subject is not None
                    answer = subject.call(frame["call"], frame["arguments"])
                    answer = {"value": wire.encode(answer["value"])} if "value" in answer else answer
                else:
                    if subject is not None:
                        subject.end()
                    subject = _Subject(self)
                    examiner.left = self.seconds + 1.0  # for the test itself
                examiner.send(answer, self.seconds)
        except (Ended, Unfinished):  # over a value that a test could not digest, or all time is up
            self.over()
            self.fault("timeout")
        finally:
            examiner.end()
            if subject is not None:
                subject.end()

    def process(self, kept: int = 0) -> Process:
        process = Process(self.sandbox, kept=kept)
        process.left = self.seconds
        self.processes.append(process)
        return process

    def over(self) -> bool:
        """
        Raises:
            Unfinished: it is, and the machine is to blame.
        """
        if time.monotonic() < self.end:
            return False
        waited = sum(process.waited for process in self.processes)
        own = sum(process.own for process in self.processes)
        if waited > self.total / 2:
            if blames_machine(own, sum(process.starved for process in self.processes)):
                raise Unfinished(f"the machine is too busy: of {self.total:g} s code had {own:.1f} s")
            _log.warning("a program is out of time for others in the sandbox. Lower rollout.concurrency.")
        self.fault("timeout")
        return True

    def fault(self, fault: str) -> None:
        if fault not in self.verdict.faults:
            self.verdict.faults.append(fault)


class _Subject:
    """The code under test in a process of its own, for one test."""

    def __init__(self, grading: _Grading) -> None:
        self._grading = grading
        self._process: Process | None = grading.process()
        self._ask({"define": grading.code})

    def call(self, name: str, arguments: list[Any]) -> dict[str, Any]:
        """`value`, plain, or `exception`."""
        answer = self._ask({"call": name, "arguments": arguments})
        if "exception" not in answer:
            try:
                return {"value": wire.decode(answer.get("value"))}
            except (ValueError, RecursionError):
                answer = {"exception": "TypeError"}
        return {"exception": str(answer["exception"])[:100]}

    def end(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None

    def _ask(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Its answer; once it has failed it is gone, and so is all that is asked of it later."""
        if self._process is None:
            return {"exception": "RuntimeError"}
        try:
            self._process.send(frame, self._process.left)
            answer = self._process.receive(self._grading.end)
        except (Ended, Unfinished) as ended:
            self.end()
            self._grading.over()
            answer = {"exception": "killed" if isinstance(ended, Ended) and not ended.late else "timeout"}
        if "exception" in answer:
            self._grading.fault(str(answer["exception"])[:100])
            if "define" in frame:
                self.end()
        return answer


def same(given: Any, expected: Any) -> bool:
    """Equal as Python compares plain values, but True is not 1; floats within a relative 1e-6."""
    if isinstance(given, bool) or isinstance(expected, bool):
        return given is expected
    if isinstance(given, int | float) and isinstance(expected, int | float):
        if isinstance(given, int) and isinstance(expected, int):
            return given == expected
        try:
            return math.isclose(given, expected, rel_tol=1e-6, abs_tol=1e-9)
        except OverflowError:  # an int beyond the floats
            return False
    if type(given) is not type(expected):
        return False
    if isinstance(given, list | tuple):
        return len(given) == len(expected) and all(map(same, given, expected))
    if isinstance(given, dict):
        return given.keys() == expected.keys() and all(same(given[key], expected[key]) for key in expected)
    return bool(given == expected)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().split("\n")]
