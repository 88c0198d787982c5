"""Function calls -> right, or why not, by the rules of the Berkeley Function-Calling Leaderboard (BFCL)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TYPES = {
    "string": str,
    "integer": int,
    "float": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "dict": dict,
    "any": str,
}
"""BFCL's names of types. `type(value)` must be one of these and no subclass: a bool is no integer."""

OMITTED = ""
"""Among the possible values of an argument: it may be left out."""


@dataclass(frozen=True)
class FunctionCall:
    """One call of an answer. Dots in a name may have become underscores, since many servers allow no others."""

    name: str
    arguments: Mapping[str, Any]


def fault(given: Sequence[FunctionCall], functions: Sequence[dict[str, Any]], gold: Sequence[dict[str, Any]]) -> str:
    """Why the calls of an answer are not the possible ones; empty if they are.

    Args:
        given: the answer, in any order.
        functions: what may be called: `name`, `parameters` with `properties` and `required`, in BFCL's types.
        gold: for each call wanted `{name: {argument: possible values}}`; none at all where no function helps.
    """
    if len(given) != len(gold):
        return f"{len(given)} calls, not {len(gold)}"
    wanted = [next(iter(one.items())) for one in gold]
    schemas = {function["name"]: function["parameters"] for function in functions}
    faults = [[_call_fault(one, name, schemas[name], values) for name, values in wanted] for one in given]
    if _assigned([[not why for why in row] for row in faults], set()):
        return ""
    return next((row[0] for row in faults if all(row)), "two calls where one of them was wanted")


def _assigned(fits: Sequence[Sequence[bool]], taken: set[int]) -> bool:
    """Whether each call can have a wanted one of its own."""
    if not fits:
        return True
    free = (place for place, fit in enumerate(fits[0]) if fit and place not in taken)
    return any(_assigned(fits[1:], taken | {place}) for place in free)


def _call_fault(given: FunctionCall, name: str, schema: dict[str, Any], possible: dict[str, list[Any]]) -> str:
    if given.name.replace(".", "_") != name.replace(".", "_"):
        return f"{given.name} is called, not {name}"
    for key in schema.get("required", []):
        if key not in given.arguments:
            return f"{key} is missing"
    for key, value in given.arguments.items():
        if key not in schema["properties"] or key not in possible:
            return f"{key} is unexpected"
        if why := _value_fault(value, schema["properties"][key], possible[key]):
            return f"{key}: {why}"
    missing = (key for key, values in possible.items() if key not in given.arguments and OMITTED not in values)
    return next((f"{key} is missing" for key in missing), "")


def _value_fault(value: Any, schema: dict[str, Any], possible: list[Any]) -> str:
    wanted, answers = _TYPES[schema["type"]], [one for one in possible if one != OMITTED]
    if wanted is float and type(value) is int:
        value = float(value)
    if isinstance(value, tuple):
        value = list(value)
    usual = type(answers[0]) if answers else wanted
    if type(value) is not wanted and type(value) is not usual:
        return f"{value!r} is no {schema['type']}"
    if isinstance(value, list) and "items" in schema and not _items_fit(value, schema["items"]["type"], answers):
        return f"{value!r} holds something else than {schema['items']['type']}"
    return "" if any(_equal(value, one) for one in possible) else f"{value!r} is none of {answers}"


def _items_fit(value: list[Any], kind: str, answers: list[Any]) -> bool:
    """Items have the type that the function says, or that of the answers' items."""
    usual = {type(item) for one in answers if isinstance(one, list) for item in one}
    return all(type(item) in {_TYPES[kind], *usual} for item in value)


def _equal(value: Any, possible: Any) -> bool:
    """Strings without regard to capitals, blanks and `,./-_*^`; of a dict each key has possible values of its own."""
    if isinstance(value, str) and isinstance(possible, str):
        return _plain(value) == _plain(possible)
    if isinstance(value, list) and isinstance(possible, list):
        return len(value) == len(possible) and all(map(_equal, value, possible))
    if isinstance(value, dict) and isinstance(possible, dict):
        known = all(key in possible and any(_equal(one, p) for p in possible[key]) for key, one in value.items())
        return known and all(key in value or OMITTED in values for key, values in possible.items())
    return value == possible


def _plain(text: str) -> str:
    return re.sub(r"[ ,./\-_*^]", "", text).lower().replace("'", '"')
