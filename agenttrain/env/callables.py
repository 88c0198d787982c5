"""Python functions with type hints and Google's docstrings -> tools, by transformers' reader, as TRL makes them."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agenttrain.errors import UserError
from agenttrain.types import Tool


def tools_of(functions: Sequence[Callable[..., Any]], where: str) -> list[Tool]:
    """
    Args:
        where: they come from, for the message.

    Raises:
        UserError: one lacks a docstring, a type, or the description of an argument.
    """
    from transformers.utils import get_json_schema
    from transformers.utils.chat_template_utils import DocstringParsingException, TypeHintParsingException

    try:
        schemas = [get_json_schema(function)["function"] for function in functions]
    except (DocstringParsingException, TypeHintParsingException) as error:
        raise UserError(f"{where} is no tool in whole: {error}") from None
    for schema in schemas:
        schema.pop("return", None)  # endpoints refuse what OpenAI's form does not have
        schema["parameters"]["additionalProperties"] = False
    return [{"type": "function", "function": schema} for schema in schemas]


def source_version(file: Path) -> dict[str, str]:
    """Its name -> the first 16 hex digits of its SHA-256: tells that somebody changed it, not what it imports."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:16]} if file.is_file() else {}


def result(value: Any) -> Any:
    """What a function returned; that of a coroutine function is awaited (a turn has a thread, and so a loop, of its
    own)."""
    return asyncio.run(value) if inspect.iscoroutine(value) else value
