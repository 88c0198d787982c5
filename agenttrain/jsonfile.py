"""A user's file of JSON records -> dicts: JSON Lines or one JSON array; a fault names the file and the place in it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agenttrain.errors import UserError


def read_records(path: str | Path, **fields: type) -> list[tuple[str, dict[str, Any]]]:
    """Every record with its place (`file:line`, or `file, record n` in an array).

    Args:
        fields: names and types that every record must have.

    Raises:
        UserError: no such file, no JSON, no record at all, a field missing or of another type.
    """
    try:
        data = Path(path).read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}.") from None
    records = list(_array(path, text) if text.lstrip().startswith("[") else _lines(path, text))
    if not records:
        raise UserError(f"{path} holds no record.")
    for place, record in records:
        for name, kind in fields.items():
            if not isinstance(record, dict) or not isinstance(record.get(name), kind):
                wanted = ", ".join(f'"{field}"' for field in fields)
                raise UserError(f"{place}: '{name}' is missing or no {kind.__name__}; a record has {wanted}.")
    return records


def _lines(path: str | Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines would cut at U+2028 within a string
        if line.strip():
            yield f"{path}:{number}", _parse(path, line, number)


def _array(path: str | Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, record in enumerate(_parse(path, text, first_line=1), start=1):
        yield f"{path}, record {number}", record


def _parse(path: str | Path, text: str, first_line: int) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise UserError(f"{path}:{line}: no valid JSON ({error.msg}, column {error.colno}).") from None
