import json

import pytest

from agenttrain.data.sharegpt import Sharegpt
from agenttrain.errors import UserError


@pytest.fixture
def write(tmp_path):
    def write(*records) -> str:
        (tmp_path / "s.json").write_text(json.dumps(list(records)))
        return str(tmp_path / "s.json")

    return write


def turn(speaker: str, value: str, **more) -> dict:
    return {"from": speaker, "value": value, **more}


def test_loss_per_turn_is_kept_as_agentinstruct_has_it(write):
    turns = [
        turn("human", "rules", loss=None),
        turn("gpt", "OK.", loss=False),
        turn("human", "task", loss=None),
        turn("gpt", "Act: ls", loss=True),
        turn("human", "a b"),
        turn("gpt", "done"),
    ]
    (example,) = Sharegpt(write({"conversations": turns, "id": "os_1", "system": "You are."}))
    assert [m["role"] for m in example.messages] == ["system"] + ["user", "assistant"] * 3
    assert [m["train"] for m in example.messages if m["role"] == "assistant"] == [False, True, True]
    assert example.id == "os_1"


def test_function_calls_become_tool_calls(write):
    call = json.dumps({"name": "get", "arguments": {"what": "log"}})
    turns = [turn("human", "x"), turn("function_call", call), turn("observation", "1"), turn("gpt", "y")]
    (example,) = Sharegpt(write({"conversations": turns, "tools": json.dumps([{"name": "get", "parameters": {}}])}))
    assert example.messages[1]["tool_calls"][0]["function"] == {"name": "get", "arguments": {"what": "log"}}
    assert example.messages[2]["role"] == "tool"
    assert example.tools == [{"type": "function", "function": {"name": "get", "parameters": {}}}]


@pytest.mark.parametrize(
    "bad",
    [
        turn("alien", "x"),
        turn("gpt", "x", loss="yes"),
        turn("human", "x", loss=True),
        turn("function_call", "get()"),
        {"from": "gpt"},
        "x",
    ],
)
def test_another_shape_is_named_with_its_record(write, bad):
    good = {"conversations": [turn("human", "x"), turn("gpt", "y")]}
    with pytest.raises(UserError, match=r"s.json, record 2: expected"):
        list(Sharegpt(write(good, {"conversations": [turn("human", "x"), bad]})))
