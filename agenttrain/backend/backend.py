"""What stands behind the tools of `env=api` (a service, an MCP server, tau-bench), and what an episode did to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from agenttrain.types import Tool


@dataclass(frozen=True)
class Reply:
    """What a call gave."""

    text: str
    facts: dict[str, Any] = field(default_factory=dict)
    """For `feedback`; `tool_error` if the call failed."""


class Backend(Protocol):
    """Tools and their state, of one episode alone."""

    @property
    def tools(self) -> list[Tool]: ...

    def call(self, name: str, arguments: dict[str, Any]) -> Reply:
        """Execute a call that fits the tool's schema.

        Raises:
            ValueError: an argument that the schema allows and the call cannot carry.
            InfraError: the service is gone.
        """
        ...

    def key(self) -> str:
        """Of the state, equal for equal states, where that can be told without asking anybody; else ''."""
        ...

    def state(self) -> Any:
        """All that it holds, as a JSON value; None if it cannot tell.

        Raises:
            InfraError: it did not answer.
        """
        ...

    def close(self) -> None: ...


Leaves = dict[tuple[str, ...], Any]


def outcome(before: Leaves, wanted: Leaves, after: Leaves) -> dict[str, int]:
    """How many places of the state were to change and did not become what they should (`missing`), and how many others
    changed (`side_effects`)."""
    owed = {place for place in before | wanted if before.get(place) != wanted.get(place)}
    return {
        "missing": sum(after.get(place) != wanted.get(place) for place in owed),
        "side_effects": sum(after.get(place) != before.get(place) for place in (before | after).keys() - owed),
    }


def leaves(value: Any, place: tuple[str, ...] = ()) -> Leaves:
    """Place -> plain value, with its type (true is not 1), of everything within a JSON value."""
    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for name, item in items for k, v in leaves(item, (*place, str(name))).items()}
    return {place: (type(value).__name__, value if not isinstance(value, float) else round(value, 6))}


def says(given: str, wanted: dict[str, Any]) -> bool:
    """Whether an answer equals `wanted["answer"]` (as a number if it is one, else but for case and outer blanks), and
    names each of `wanted["mentions"]` (but for case and commas, as tau-bench looks for them)."""
    text = given.strip().casefold()
    if "answer" in wanted and text != str(wanted["answer"]).strip().casefold():
        try:
            if float(text) != float(wanted["answer"]):
                return False
        except ValueError:
            return False
    return all(word.casefold() in text.replace(",", "") for word in wanted.get("mentions", ()))
