"""Source of a reward function -> the first thing that is wrong with it, found in its syntax tree. Nothing is run.

This keeps honest authors within bounds and tells them why. The wall against others is the sandbox.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agenttrain.syntax import parse

NAME = "reward"
MODULES = ["__future__", "collections", "dataclasses", "difflib", "functools", "itertools"]
MODULES += ["json", "math", "re", "statistics", "string", "typing"]
LONGEST = 20_000
"""Characters of a source."""
_REFUSED = {"breakpoint", "compile", "delattr", "eval", "exec", "getattr", "globals"}
_REFUSED |= {"input", "locals", "open", "setattr", "vars"}


def fault(source: str) -> str | None:
    """What is wrong with `source`, in words that follow its name; None where it may be run.

    It must define `reward` with one parameter, import from `MODULES` only, and touch no name with two underscores at
    its front nor a built-in that opens files, evaluates text or reaches into names.
    """
    if len(source) > LONGEST:
        return f"has {len(source):,} characters; {LONGEST:,} are the most"
    try:
        tree = parse(source)
    except SyntaxError as error:
        return f"is no Python: {error.msg}, line {error.lineno}"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"is no Python that can be read ({type(error).__name__})"
    return next(_forbidden(tree), None) or _signature(tree)


def _forbidden(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        for module in _imported(node):
            if module not in MODULES:
                yield f"imports {module}, line {line}; it may import {', '.join(MODULES)}"
        for name in _touched(node):
            if name.startswith("__"):
                yield f"touches {name}, line {line}"
        if isinstance(node, ast.Name) and node.id in _REFUSED:
            yield f"uses {node.id}, line {line}"


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return ["." * node.level + (node.module or "")]
    return []


def _touched(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.ImportFrom):
        return [alias.name for alias in node.names]
    return [node.id] if isinstance(node, ast.Name) else []


def _signature(tree: ast.Module) -> str | None:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == NAME:
            given = node.args
            required = len(given.posonlyargs + given.args) - len(given.defaults)
            missing = [None for default in given.kw_defaults if default is None]
            takes_one = required <= 1 <= len(given.posonlyargs + given.args)
            return None if takes_one and not missing else f"defines {NAME} with other parameters than one trajectory"
    return f"defines no function {NAME}(trajectory)"
