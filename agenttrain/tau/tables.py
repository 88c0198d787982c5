"""tau-bench's records: shared by all episodes, an episode's own where it changed them; and tools of both domains."""

from __future__ import annotations

import ast
import copy
import operator
from collections.abc import Callable
from typing import Any

from agenttrain.syntax import parse_expression

Record = dict[str, Any]


class Refused(Exception):
    """A call that the domain's rules do not allow; nothing has changed."""


class Tables:
    """Records by table and id.

    Args:
        shared: what all episodes start with; never changed.
    """

    def __init__(self, shared: dict[str, dict[str, Record]]) -> None:
        self.shared = shared
        self.changed: dict[str, dict[str, Record]] = {}
        """Of the same form, the records that were edited or added."""

    def all(self, table: str) -> dict[str, Record]:
        """Every record of a table, to be read."""
        return {**self.shared[table], **self.changed.get(table, {})}

    def read(self, table: str, key: str) -> Record:
        """A record, to be read.

        Raises:
            Refused: there is none.
        """
        own = self.changed.get(table, {})
        if key not in own and key not in self.shared[table]:
            raise Refused(f"{table[:-1]} {key} not found")
        return own[key] if key in own else self.shared[table][key]

    def edit(self, table: str, key: str) -> Record:
        """A record, to be changed."""
        record = self.read(table, key)
        return self.changed.setdefault(table, {}).setdefault(key, copy.deepcopy(record))

    def add(self, table: str, key: str, record: Record) -> None:
        """Put a new record there."""
        self.changed.setdefault(table, {})[key] = record

    def changes(self) -> dict[str, dict[str, Record]]:
        """The records that are not as they were."""
        found = {
            table: {key: record for key, record in records.items() if self.shared[table].get(key) != record}
            for table, records in self.changed.items()
        }
        return {table: records for table, records in found.items() if records}


class Domain(Tables):
    """Tables and the tools on them: a tool's name is a method's, its arguments are the method's."""

    def calculate(self, expression: str) -> str:
        try:
            return str(round(float(_value(parse_expression(expression.strip()[:500]))), 2))
        except (SyntaxError, ArithmeticError, RecursionError, ValueError, MemoryError) as error:
            raise Refused(f"this cannot be calculated: {error}") from None

    def think(self, thought: str) -> str:
        return ""

    def transfer_to_human_agents(self, summary: str) -> str:
        return "Transfer successful"


_SIGNS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _value(node: ast.AST) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.BinOp() if type(node.op) in _SIGNS:
            return _SIGNS[type(node.op)](_value(node.left), _value(node.right))
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand)
    raise Refused("only numbers, + - * / and brackets can be calculated")
