import pytest

from agenttrain.env.tools import BadCall, Call, answer, answers, read_call, tool

TOOLS = [
    tool("get", "Gather.", item={"type": "string"}, count={"type": "integer"}),
    tool("paint", "Paint.", colour={"type": ["string", "null"], "enum": ["red", "blue", None]}),
    tool("look", "Look around."),
]


def says(name, arguments, id="c1"):
    return {"role": "assistant", "tool_calls": [{"id": id, "function": {"name": name, "arguments": arguments}}]}


def test_a_fitting_call_is_read():
    call = read_call(says("get", {"item": "log", "count": 2}), TOOLS)
    assert call == Call("get", {"item": "log", "count": 2}, "c1")
    assert read_call(says("look", {}), TOOLS) == Call("look", {}, "c1")
    assert read_call(says("paint", {"colour": None}), TOOLS) == Call("paint", {"colour": None}, "c1")


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ({"role": "assistant", "content": "I would rather talk."}, "Call one of: get, paint, look."),
        ({"role": "assistant", "tool_calls": None}, "No tool call"),
        ({"role": "assistant", "tool_calls": [{}]}, "Unknown tool None"),
        (says("fly", {}), "Unknown tool 'fly'. Tools: get, paint, look."),
        (says(["get"], {}), "Unknown tool"),
        (says("get", '{"item": "log"}'), "must be a JSON object"),
        (says("get", None), "must be a JSON object"),
        (says("get", {"item": "log"}), "missing argument 'count'"),
        (says("get", {"item": "log", "count": 1, "size": 2}), "unknown argument 'size'"),
        (says("get", {"item": 3, "count": 1}), "'item' must be of type string"),
        (says("get", {"item": "log", "count": True}), "'count' must be of type integer"),
        (says("get", {"item": "log", "count": 1.5}), "'count' must be of type integer"),
        (says("paint", {"colour": "green"}), "must be one of"),
        (says("paint", {"colour": ["red"]}), "must be of type string or null"),
    ],
)
def test_a_misfit_is_told_and_not_raised(action, reason):
    call = read_call(action, TOOLS)
    assert isinstance(call, BadCall)
    assert reason in call.reason


def test_extra_arguments_pass_where_a_schema_allows_them():
    loose = {"type": "function", "function": {"name": "any", "parameters": {"type": "object", "properties": {}}}}
    assert read_call(says("any", {"x": 1}), [loose]) == Call("any", {"x": 1}, "c1")


def test_an_answer_goes_to_its_call():
    assert answer(read_call(says("look", {}), TOOLS), "A wall.") == {
        "role": "tool",
        "name": "look",
        "content": "A wall.",
        "tool_call_id": "c1",
    }
    assert answer(read_call(says("fly", {}), TOOLS), "No.")["tool_call_id"] == "c1"
    assert "tool_call_id" not in answer(read_call(says("look", {}, id=""), TOOLS), "A wall.")


def test_without_a_call_the_answer_is_a_user_message():
    assert answer(read_call({"role": "assistant", "content": "Hm."}, TOOLS), "No.") == {
        "role": "user",
        "content": "No.",
    }


def test_every_call_of_an_action_gets_an_answer_and_only_the_first_is_executed():
    action = says("look", {})
    action["tool_calls"] += says("get", {"item": "log"}, id="c2")["tool_calls"]
    first, second = answers(action, read_call(action, TOOLS), "A wall.")
    assert (first["tool_call_id"], first["content"]) == ("c1", "A wall.")
    assert (second["tool_call_id"], second["name"]) == ("c2", "get")
    assert "Not executed" in second["content"]
