"""A user's file -> problems with tests: MBPP (arXiv 2108.07732), HumanEval (2107.03374), GSM8K as code (2110.14168)."""

from __future__ import annotations

import ast
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agenttrain.errors import UserError
from agenttrain.jsonfile import read_records
from agenttrain.syntax import parse


@dataclass(frozen=True)
class Problem:
    """What to write, and how it is verified."""

    id: str
    text: str
    tests: dict[str, Any]
    """In the form of `agenttrain.sandbox.grader.Tests`."""
    split: str
    gold: str = ""
    """A program that solves it, where the file has one."""


def read_problems(path: str) -> list[Problem]:
    """Every problem of a file; its form is told by its first record.

    Raises:
        UserError: no such file, or none of the three forms.
    """
    records = read_records(path)
    first = records[0][1]
    for fields, read in _FORMS.items():
        if isinstance(first, dict) and all(any(name in first for name in names.split("|")) for names in fields):
            problems = []
            for number, (place, record) in enumerate(records, start=1):
                try:
                    problems.append(read(f"{Path(path).name.partition('.')[0]}/", number, record))
                except (KeyError, TypeError, ValueError, SyntaxError, AttributeError) as error:
                    kind = type(error).__name__
                    raise UserError(f"{place}: not the form of the records before it ({kind}: {error}).") from None
            return problems
    forms = "MBPP (text, test_list), HumanEval (prompt, test) or GSM8K (question, answer)"
    raise UserError(f"{path} holds no problems in the form of {forms}.")


def _mbpp(name: str, number: int, record: dict[str, Any]) -> Problem:
    """The first of its tests is shown, as the name and the arguments are not to be guessed; the others are not."""
    text = record.get("text") or record.get("prompt") or record["query"]
    tests = record.get("test_list") or record["tests"]
    gold = (record.get("code") or record.get("gold") or "").replace("\r\n", "\n")
    setup = "\n".join(record.get("test_imports") or [record.get("test_setup_code") or ""])
    task_id = int(record.get("task_id", number))
    split = "train" if task_id > 600 else "heldout" if 11 <= task_id <= 510 else "validation"
    checks = {"functions": _called(gold, tests), "setup": setup, "sources": tests}
    return Problem(f"{name}{task_id}", f"{text.strip()}\nA test: {tests[0]}", checks, split, gold)


def _called(gold: str, tests: list[str]) -> list[str]:
    """Names that the tests call and that the solution defines (without one: all but the built-in)."""
    calls = {node.id for test in tests for node in ast.walk(parse(test)) if isinstance(node, ast.Name)}
    defined = {node.name for node in parse(gold).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return sorted(calls & defined if defined else calls - set(dir(__builtins__)))


def _humaneval(name: str, number: int, record: dict[str, Any]) -> Problem:
    prompt, function = record["prompt"], record["entry_point"]
    # the tests may use helpers that the prompt gives
    checks = {"functions": [function], "setup": f"{prompt}\n{record['test']}", "sources": [f"check({function})"]}
    text = f"Complete this, and submit it with its imports and helpers:\n{prompt.strip()}"
    task_id = str(record.get("task_id", number)).rpartition("/")[2]
    gold = prompt + record.get("canonical_solution", "")
    return Problem(f"{name}{task_id}", text, checks, _fifth(prompt), gold)


def _gsm8k(name: str, number: int, record: dict[str, Any]) -> Problem:
    answer = re.sub(r"[,$\s]", "", record["answer"].rpartition("####")[2])
    value = float(answer) if "." in answer else int(answer)
    call = {"function": "solution", "arguments": [], "expected": value}
    text = f"Write solution(), without arguments, that computes and returns the number asked for.\n{record['question']}"
    gold = f"def solution(): return {value}"
    return Problem(f"{name}{number}", text, {"calls": [call]}, _fifth(record["question"]), gold)


def _fifth(text: str) -> str:
    return "heldout" if zlib.crc32(text.encode()) % 5 == 0 else "train"


_FORMS = {
    ("entry_point", "test", "prompt"): _humaneval,
    ("text|prompt|query", "test_list|tests"): _mbpp,
    ("question", "answer"): _gsm8k,
}
