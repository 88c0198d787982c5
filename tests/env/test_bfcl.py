"""The calls of one message against the possible ones; the rules themselves: tests/gorilla/test_bfcl.py."""

from pathlib import Path

import jsonschema
import pytest

from agenttrain.env.bfcl import Bfcl
from agenttrain.errors import UserError
from agenttrain.task import bfcl
from agenttrain.types import Task

REAL = Path(__file__).parent.parent.parent.parent / "shared/data/bfcl"
FUNCTION = {
    "name": "geo.area",
    "description": "Area.",
    "parameters": {
        "type": "dict",
        "properties": {
            "sides": {"type": "tuple", "items": {"type": "float"}},
            "type": {"type": "any"},
            "extra": {"type": "dict", "properties": {"unit": {"type": "string"}}},
        },
        "required": ["sides"],
    },
}
TASK = Task("1", [{"role": "user", "content": "?"}], [{"geo.area": {"sides": [[1.0, 2.0]]}}], {"functions": [FUNCTION]})


def step(arguments, name="geo_area", task=TASK):
    calls = [{"type": "function", "function": {"name": name, "arguments": arguments}}]
    return Bfcl().episode(task, 0).step({"role": "assistant", "content": "", "tool_calls": calls})


def test_functions_become_tools_in_json_schema():
    (tool,) = Bfcl().episode(TASK, 0).tools
    assert tool["function"]["name"] == "geo_area"
    assert tool["function"]["parameters"] == {
        "type": "object",
        "properties": {
            "sides": {"type": "array", "items": {"type": "number"}},
            "type": {},
            "extra": {"type": "object", "properties": {"unit": {"type": "string"}}},
        },
        "required": ["sides"],
    }


def test_a_message_is_right_or_is_told_why_not():
    right = step({"sides": [1.0, 2.0]})
    assert (right.done, right.reward, right.feedback) == (True, 1.0, {"success": True})
    for wrong, told in (
        ({"sides": [1.0, 3.0]}, "none of"),
        ({"sides": [1, 2]}, "float"),
        ({}, "missing"),
        ("{", "JSON"),
    ):
        seen = step(wrong)
        assert (seen.done, seen.reward, seen.feedback["success"]) == (True, 0.0, False)
        assert told in seen.feedback["fault"]
    assert "is called" in step({"sides": [1.0, 2.0]}, name="area").feedback["fault"]


def test_saying_nothing_is_right_only_where_no_function_helps():
    silence = {"role": "assistant", "content": "None of these helps."}
    assert Bfcl().episode(TASK, 0).step(silence).feedback["success"] is False
    irrelevant = Task("1", TASK.messages, [], TASK.data)
    assert Bfcl().episode(irrelevant, 0).step(silence).feedback["success"] is True
    assert step({"sides": [1.0, 2.0]}, task=irrelevant).feedback["success"] is False


def test_a_task_without_functions_is_an_error():
    with pytest.raises(UserError, match="task=bfcl"):
        Bfcl().episode(Task("1", []), 0)


@pytest.mark.skipif(not REAL.is_dir(), reason="BFCL is not at ../shared/data/bfcl")
@pytest.mark.parametrize("name", ["simple_python", "multiple", "parallel", "irrelevance"])
def test_every_function_of_the_leaderboard_becomes_a_valid_schema(name):
    for task in bfcl.Bfcl(str(REAL / f"BFCL_v4_{name}.json")):
        for tool in Bfcl().episode(task, 0).tools:
            jsonschema.Draft202012Validator.check_schema(tool["function"]["parameters"])
