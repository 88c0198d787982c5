"""Inside the sandbox, in a process without a line of the model's: tests whose subject is on the other side of the wall.

The functions under test are stand-ins that ask for a call and are given a plain value or an exception's name.
"""

from __future__ import annotations

import builtins
import socket
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from agenttrain.sandbox import wire


def examine(stream: socket.socket, tests: dict[str, Any]) -> dict[str, Any]:
    """Execute `setup`, then each of `tests` in names of its own; a test that raises has failed.

    The `functions` are there as names and as members of the module `solution`. The other side is told of each test
    before it (`next`), so that it can put a fresh process behind them, and after it (`passed`).
    """
    stand_ins = {name: _stand_in(stream, name) for name in tests["functions"]}
    solution = sys.modules["solution"] = ModuleType("solution")
    vars(solution).update(stand_ins)
    for number, test in enumerate(tests["tests"]):
        _tell(stream, {"next": number})
        names: dict[str, Any] = {"__name__": "tests"}
        try:
            exec(compile(tests["setup"], "<setup>", "exec"), names)
            names.update(stand_ins)
            exec(compile(test, "<test>", "exec"), names)
        except BaseException:  # also a skip or an exit: what did not run to its end has not passed
            passed = False
        else:
            passed = True
        _tell(stream, {"passed": passed})
    return {"done": True}


def _tell(stream: socket.socket, frame: dict[str, Any]) -> dict[str, Any]:
    stream.sendall(wire.pack(frame))
    return wire.receive(stream) or {"exception": "EOFError"}


def _stand_in(stream: socket.socket, name: str) -> Callable[..., Any]:
    def function(*arguments: Any) -> Any:
        answer = _tell(stream, {"call": name, "arguments": [wire.encode(argument) for argument in arguments]})
        if "exception" in answer:
            raise _exception(answer["exception"])
        return wire.decode(answer["value"])

    function.__name__ = name
    return function


def _exception(name: str) -> Exception:
    """A built-in exception of that name, for tests that expect one; any other is a RuntimeError."""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(f"{name} in the function under test")
        except TypeError:  # UnicodeDecodeError and its like want more
            pass
    return RuntimeError(f"{name} in the function under test")
