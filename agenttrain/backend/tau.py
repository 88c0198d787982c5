"""Call -> tau-bench's retail or airline data (arXiv 2406.12045), read from the user's folder."""

from __future__ import annotations

import copy
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from agenttrain.backend.backend import Reply
from agenttrain.errors import UserError
from agenttrain.tau.airline import Airline
from agenttrain.tau.retail import Retail
from agenttrain.tau.tables import Domain, Refused, Tables
from agenttrain.types import Tool

DOMAINS = {"orders": Retail, "reservations": Airline}
"""A table that only this domain has -> the domain."""


class TauBackend:
    """`feedback` of a call holds `tool_error` where it was refused."""

    def __init__(self, folder: str) -> None:
        kind, tables, self._tools = _read(folder)
        self.domain = kind(tables)

    @property
    def tools(self) -> list[Tool]:
        return self._tools

    def call(self, name: str, arguments: dict[str, Any]) -> Reply:
        try:
            result = getattr(self.domain, name)(**copy.deepcopy(arguments))
        except Refused as error:
            return Reply(f"Error: {error}", {"tool_error": str(error)})
        return Reply(result if isinstance(result, str) else json.dumps(result, ensure_ascii=False))

    def key(self) -> str:
        return hashlib.sha256(json.dumps(self.domain.changes(), sort_keys=True).encode()).hexdigest()[:16]

    def state(self) -> Any:
        """The records that differ from the data."""
        return copy.deepcopy(self.domain.changes())

    def close(self) -> None:
        pass


@cache
def _read(folder: str) -> tuple[type[Domain], dict[str, dict[str, Any]], list[Tool]]:
    """
    Raises:
        UserError: the folder is none of tau-bench's domains.
    """
    try:
        read = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in Path(folder).glob("*.json")}
        kind = next(DOMAINS[name] for name in DOMAINS if name in read)
        tools = read.pop("tools")
    except (StopIteration, OSError, ValueError, KeyError):
        raise UserError(
            f"{folder} is no domain of tau-bench: it needs tools.json, and orders.json or reservations.json."
        ) from None
    for tool in tools:
        name = tool["function"]["name"]
        if not hasattr(kind, name) or hasattr(Tables, name):
            raise UserError(f"{folder}/tools.json has a tool that is not known: {name}.")
        tool["function"]["parameters"].setdefault("additionalProperties", False)
    return kind, {name: table for name, table in read.items() if isinstance(table, dict)}, tools
