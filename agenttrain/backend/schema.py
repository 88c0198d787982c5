"""JSON value -> its first fault against a JSON schema, in words that a policy can learn from."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

_LONGEST = 200
"""Characters of a fault."""


class Schema:
    """A JSON schema (draft 2020-12), compiled at its first use. References stay within it: nothing is fetched."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema

    @cached_property
    def _validator(self) -> Validator:
        from jsonschema import Draft202012Validator
        from referencing import Registry

        return Draft202012Validator(self.schema, registry=Registry())

    def fault(self, value: Any) -> str | None:
        """Where and how `value` does not fit; None if it does.

        A schema that is none itself, or leads outside, is a fault too.
        """
        from jsonschema.exceptions import best_match
        from referencing.exceptions import Unresolvable

        try:
            error = best_match(self._validator.iter_errors(value))
        except (Unresolvable, RecursionError, TypeError, ValueError, AttributeError) as problem:
            return f"cannot be checked: {problem}"[:_LONGEST]
        if error is None:
            return None
        place = ".".join(map(str, error.absolute_path))
        return f"{place}: {error.message}"[:_LONGEST] if place else error.message[:_LONGEST]
