"""What the hostile programs' runner calls: our sandbox and grader, in one set of walls each."""

import ast
import re

from agenttrain.env.codeact import Codeact
from agenttrain.sandbox.grader import grade
from agenttrain.sandbox.interpreter import Interpreter, run_program
from agenttrain.sandbox.sandbox import Limits, Sandbox
from agenttrain.types import Task

# the verdicts of an idle machine, whatever else runs here (what a load changes: test_waiting, test_interpreter)
Sandbox.waited = lambda self, number, anew=False: (0.0, 0.0, 0.0)


def _report(result):
    code = 1 if result.exception else result.exit_code
    return {"status": result.status, "exit_code": code, "stdout": result.output, "stderr": ""}


def _program(walls, code, wall, mem_mb, fsize_mb, max_out, fetch):
    sandbox = Sandbox(walls, Limits(memory=mem_mb, disk=fsize_mb))
    try:
        return _report(run_program(sandbox, code, wall, kept=max_out))
    finally:
        sandbox.close()


def _turn(walls, code, wall, mem_mb, fsize_mb, max_out, fetch):
    sandbox = Sandbox(walls, Limits(memory=mem_mb, disk=fsize_mb))
    interpreter = Interpreter(sandbox, kept=max_out)
    try:
        return _report(interpreter.run(code, wall))
    finally:
        interpreter.close()
        sandbox.close()


def _reward(walls, submission, task):
    sandbox = Sandbox(walls)
    try:
        return float(grade(sandbox, submission, tests_of(task), task["time_limit"]).success)
    finally:
        sandbox.close()


def tests_of(task):
    """The runner's tasks as our tests; a test file's functions are called one by one."""
    if task["type"] == "call":
        name = task["entry_point"]
        return {"calls": [{"function": name, "arguments": t["args"], "expected": t["expected"]} for t in task["tests"]]}
    if task["type"] == "stdio":
        return {"programs": task["tests"]}
    names = [node.name for node in ast.parse(task["test_source"]).body if isinstance(node, ast.FunctionDef)]
    return {"functions": ["add3"], "setup": task["test_source"], "sources": [f"{name}()" for name in names]}


def program_in_bubblewrap(code, **limits):
    return _program("bubblewrap", code, **limits)


def program_in_landlock(code, **limits):
    return _program("landlock", code, **limits)


def turn_in_bubblewrap(code, **limits):
    return _turn("bubblewrap", code, **limits)


def turn_in_landlock(code, **limits):
    return _turn("landlock", code, **limits)


def reward_in_bubblewrap(submission, task):
    return _reward("bubblewrap", submission, task)


def reward_in_landlock(submission, task):
    return _reward("landlock", submission, task)


def turn_in_codeact(code, wall, mem_mb, fsize_mb, max_out, fetch):
    """An action of env=codeact; an episode that it gave success would be a fault of ours, which fails every program."""
    env = Codeact(seconds=wall, memory=mem_mb, disk=fsize_mb, max_chars=max_out)
    episode = env.episode(Task("t", [], "an answer", {"tools": "def tool(): return 1"}), 0)
    try:
        step = episode.step({"role": "assistant", "content": f"<execute>{code}</execute>"})
        assert not step.done
        assert "success" not in step.feedback
        shown = step.messages[0]["content"].removeprefix("Observation:\n").rpartition("\n")[0]
        status, exited = step.feedback["status"], re.search(r"\[exited with (\d+);", shown)
        code = int(exited[1]) if exited else int(status != "ok")
        return {"status": status, "exit_code": code, "stdout": shown, "stderr": ""}
    finally:
        episode.close()
        env.sandbox.close()
