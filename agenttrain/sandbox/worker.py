"""Inside the sandbox: what a confined process does with the frames it is sent.

Code of a model shares this process and may break anything in it. So nothing here is believed by the other side: it
reads output that it cuts, frames that it limits, values that it decodes itself, and its own clock.
"""

from __future__ import annotations

import ast
import builtins
import os
import random
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable
from types import ModuleType, TracebackType
from typing import Any

from agenttrain.sandbox import examiner, wire

_Namespace = dict[str, Any]


def serve(stream: socket.socket, seed: int) -> None:
    """Answer frames until the other side hangs up. A frame's one key besides its arguments names what to do:

    - `run`: execute code as at a prompt, names staying for the next run -> `exception`, if there was one
    - `script`: execute a program with `stdin` and exit as it does (no answer)
    - `define`: execute code as the module `solution` -> `exception`, if there was one
    - `call`: call a function so defined with `arguments` -> `value`, or `exception`
    - `examine`: run tests that call functions across the wall (see `examiner`)
    """
    _seed(seed)
    builtins.__dict__.update(exit=sys.exit, quit=sys.exit)  # which the module `site` would have done
    main = _module("__main__")
    solution = _module("solution")
    while frame := wire.receive(stream):
        if "script" in frame:
            return _script(frame["script"], frame["stdin"], main)
        if "run" in frame:
            answer = _attempt(lambda code=frame["run"]: _run(code, main), tell=True)
        elif "define" in frame:
            answer = _attempt(lambda code=frame["define"]: exec(compile(code, "<solution>", "exec"), solution))
        elif "call" in frame:
            answer = _attempt(lambda frame=frame: _call(solution, frame["call"], frame["arguments"]))
        else:
            answer = examiner.examine(stream, frame["examine"])
        stream.sendall(wire.pack(answer))
    return None


def _seed(seed: int) -> None:
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)


def _module(name: str) -> _Namespace:
    module = sys.modules[name] = ModuleType(name)  # where classes defined in it are looked for
    return vars(module)


def _attempt(action: Callable[[], dict[str, Any] | None], tell: bool = False) -> dict[str, Any]:
    """What `action` answers, or the name of the exception it ends in; `tell` prints it, without our own frames."""
    try:
        answer = action() or {}
        wire.pack(answer)
    except SystemExit:
        if tell:  # the interpreter ends, as at a prompt
            raise
        answer = {"exception": "SystemExit"}
    except BaseException as error:
        if tell:
            _print(type(error), error, error.__traceback__)
        answer = {"exception": type(error).__name__}
    for output in (sys.stdout, sys.stderr):
        try:
            output.flush()
        except Exception:  # closed or replaced by the code: its own affair
            continue
    return answer


def _print(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What Python prints of an exception, from where the code begins."""
    while trace is not None and not trace.tb_frame.f_code.co_filename.startswith("<python"):
        trace = trace.tb_next
    traceback.print_exception(kind, error, trace)


def _run(code: str, namespace: _Namespace) -> None:
    """Execute `code` and print the value of an expression that stands last in it."""
    tree = ast.parse(code, "<python>")
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    _remember(code)
    exec(compile(tree, "<python>", "exec"), namespace)
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), "<python>", "eval"), namespace)
        if value is not None:
            print(repr(value))


def _remember(code: str) -> None:
    """Lets a traceback show the lines of this run."""
    import linecache

    linecache.cache["<python>"] = (len(code), None, code.splitlines(keepends=True), "<python>")


def _call(solution: _Namespace, name: str, arguments: list[Any]) -> dict[str, Any]:
    return {"value": wire.encode(solution[name](*map(wire.decode, arguments)))}


def _script(code: str, stdin: str, namespace: _Namespace) -> None:
    """Run a whole program: whatever it raises leaves by the interpreter's own door, with its exit code."""
    with tempfile.TemporaryFile() as file:
        file.write(stdin.encode())
        file.flush()
        os.dup2(file.fileno(), 0)
    os.lseek(0, 0, os.SEEK_SET)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.excepthook = _print
    _remember(code)
    exec(compile(code, "<python>", "exec"), namespace)
