"""Both sides of the wall: frames of JSON on a stream, and the plain values that may cross.

Nothing that crosses has behaviour: a value is rebuilt from its parts by the reader, so that neither a subclass nor an
`__eq__`, neither a pickle nor a printed line can speak for what was returned.
"""

from __future__ import annotations

import json
import math
import socket
from typing import Any

_to_json, _from_json = json.JSONEncoder().encode, json.JSONDecoder().decode
"""Held here, as code of a model may put its own into the module."""
LARGEST = 4 << 20
"""Bytes of the largest frame."""
_DEEPEST = 200


def pack(frame: dict[str, Any]) -> bytes:
    """
    Raises:
        ValueError: the frame is too large.
    """
    body = _to_json(frame).encode()
    if len(body) > LARGEST:
        raise ValueError("too large")
    return len(body).to_bytes(4, "big") + body


def unpack(data: bytes | bytearray) -> dict[str, Any] | None:
    """The frame that `data` begins with, or None while it is not complete.

    Raises:
        ValueError: it is none of ours.
    """
    length = int.from_bytes(data[:4], "big")
    if length > LARGEST:
        raise ValueError("too large")
    if len(data) < 4 + length or len(data) < 4:
        return None
    try:
        frame = _from_json(data[4 : 4 + length].decode())
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(frame, dict):
        raise ValueError("no frame")
    return frame


def receive(stream: socket.socket) -> dict[str, Any] | None:
    """The next frame, however long it takes; None at the end of the stream."""
    data = b""
    while (frame := unpack(data)) is None:
        missing = 4 + int.from_bytes(data[:4], "big") - len(data) if len(data) >= 4 else 4 - len(data)
        part = stream.recv(min(missing, 65536))
        if not part:
            return None
        data += part
    return frame


def encode(value: Any, depth: int = 0) -> Any:
    """A plain value as JSON: None, bool, int, float, str, bytes, complex, list, tuple, set, dict of such.

    What a subclass holds is taken by the methods of the plain type, not by its own.

    Raises:
        TypeError: something else, or nested too deep.
    """
    if depth > _DEEPEST:
        raise TypeError("nested too deep")
    kind = type(value)
    if value is None or kind is bool:
        return value
    if issubclass(kind, int):
        return int.__int__(value)
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, float):
        number = float.__float__(value)
        return number if math.isfinite(number) else {"float": str(number)}
    if issubclass(kind, complex):
        return {"complex": [encode(value.real), encode(value.imag)]}
    if issubclass(kind, bytes | bytearray):
        return {"bytes": bytes(value).hex()}
    for plain in (list, tuple, set, frozenset):
        if issubclass(kind, plain):
            items = [encode(item, depth + 1) for item in plain.__iter__(value)]
            return items if plain is list else {"set" if plain is frozenset else plain.__name__: items}
    if issubclass(kind, dict):
        return {"dict": [[encode(k, depth + 1), encode(v, depth + 1)] for k, v in dict.items(value)]}
    raise TypeError(f"a {kind.__name__} is no plain value")


def decode(data: Any) -> Any:
    """The value that `encode` wrote.

    Raises:
        ValueError: nothing that `encode` would write.
    """
    if data is None or isinstance(data, bool | int | float | str):
        return data
    if isinstance(data, list):
        return [decode(item) for item in data]
    if isinstance(data, dict) and len(data) == 1:
        ((name, parts),) = data.items()
        try:
            return _MAKERS[name](parts)
        except (KeyError, TypeError, ValueError, RecursionError):
            pass
    raise ValueError("no plain value")


_MAKERS = {
    "float": lambda text: {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}[text],
    "complex": lambda parts: complex(decode(parts[0]), decode(parts[1])),
    "bytes": bytes.fromhex,
    "tuple": lambda items: tuple(map(decode, items)),
    "set": lambda items: set(map(decode, items)),
    "dict": lambda pairs: {decode(key): decode(value) for key, value in pairs},
}
