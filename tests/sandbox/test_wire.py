import json
import math

import pytest

from agenttrain.sandbox import wire

VALUES = [None, True, 3, 10**30, 0.5, "é\n", b"\0a", 1j, [1, [2]], (1, ()), {1, 2}, {(1, 2): {"a": None}}, -math.inf]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_plain_values_cross(value):
    crossed = wire.decode(json.loads(json.dumps(wire.encode(value))))
    assert crossed == value
    assert type(crossed) is type(value)


def test_a_subclass_crosses_as_what_it_holds():
    class Text(str):
        def __str__(self):
            return "lie"

    class Numbers(list):
        def __iter__(self):
            return iter([9])

    assert wire.encode([Text("a"), Numbers([1])]) == ["a", [1]]
    assert type(wire.encode(Text("a"))) is str


@pytest.mark.parametrize(
    "value", [object(), print, [[]], {"a": {1: open}}], ids=["object", "function", "list in a list", "function within"]
)
def test_anything_else_does_not(value):
    if value == [[]]:
        for _ in range(1000):
            value = [value]
    with pytest.raises(TypeError):
        wire.encode(value)


@pytest.mark.parametrize("data", [{"set": [[1]]}, {"dict": [1]}, {"bytes": "x"}, {"a": 1}, {}, {"float": "1"}])
def test_nothing_else_is_understood(data):
    with pytest.raises(ValueError, match="no plain value"):
        wire.decode(data)


def test_frames_are_whole_or_not_there_and_never_too_large():
    packed = wire.pack({"a": 1})
    assert wire.unpack(packed) == {"a": 1}
    assert all(wire.unpack(packed[:end]) is None for end in range(len(packed)))
    with pytest.raises(ValueError, match="too large"):
        wire.pack({"a": "x" * wire.LARGEST})
    for data in (b"\xff\xff\xff\xff", b"\0\0\0\2[]", b"\0\0\0\1x", b"\0\1\0\0" + b"[" * 65536):
        with pytest.raises(ValueError):  # noqa: PT011
            wire.unpack(data)
