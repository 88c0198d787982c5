import json

import pytest

from agenttrain.data.chat import Chat
from agenttrain.errors import UserError

CALL = {"id": "c1", "type": "function", "function": {"name": "get", "arguments": '{"what": "log"}'}}
TOOL = {"type": "function", "function": {"name": "get", "parameters": {}}}
QUESTION = {"role": "user", "content": "hi"}


def answer(**more) -> dict:
    return {"role": "assistant", "content": "yes", **more}


@pytest.fixture
def write(tmp_path):
    def write(*records) -> str:
        (tmp_path / "chat.jsonl").write_text("\n".join(json.dumps(record) for record in records))
        return str(tmp_path / "chat.jsonl")

    return write


def test_flags_decide_which_assistant_messages_train(write):
    said = [answer(), answer(train=False), answer(weight=0), answer(weight=1), answer(train=True)]
    messages = [message for one in said for message in (QUESTION, one)]
    (example,) = Chat(write({"messages": messages}))
    assert [m.get("train") for m in example.messages[1::2]] == [True, False, False, True, True]
    assert all("weight" not in message for message in example.messages)


def test_calls_come_with_arguments_as_a_dict_and_text_parts_as_text(write):
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        answer(),
    ]
    (example,) = Chat(write({"messages": messages, "tools": json.dumps([TOOL]), "id": 7, "success": True}))
    assert example.messages[0]["content"] == "ab"
    assert example.messages[1]["tool_calls"][0]["function"]["arguments"] == {"what": "log"}
    assert example.messages[1]["content"] == ""
    assert (example.id, example.tools, example.success) == ("7", [TOOL], True)


def test_an_array_is_read_like_lines(tmp_path):
    path = tmp_path / "chat.json"
    path.write_text(json.dumps([{"messages": [QUESTION, answer()]}] * 2))
    data = Chat(str(path))
    assert len(list(data)) == 1
    assert data.report.dropped == {"duplicate": 1}


def test_conversations_that_cannot_train_are_counted(write):
    bad = [[QUESTION], [answer(), QUESTION], [QUESTION, answer(), answer()], [QUESTION, answer(content=" ")]]
    bad.append([QUESTION, answer(train=False)])
    data = Chat(write(*({"messages": messages} for messages in bad), {"messages": [QUESTION, answer()]}))
    assert len(list(data)) == 1
    assert data.report.dropped == {
        "no assistant message": 1,
        "no user message before the assistant's first": 1,
        "two assistant messages in a row": 1,
        "an empty assistant message": 1,
        "no turn to train": 1,
    }


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"conversations": []}, "'messages' is missing"),
        ({"messages": [{"role": "bot", "content": "x"}]}, "expected messages of the form"),
        ({"messages": ["x"]}, "expected messages of the form"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "content as text"),
        ({"messages": [{**QUESTION, "train": True}]}, "only assistant ones can"),
        ({"messages": [QUESTION, answer(weight=0.5)]}, "weight as 1 or 0"),
        ({"messages": [QUESTION, answer(tool_calls=[{"function": {"name": "f", "arguments": "{"}}])]}, "tool_calls"),
        ({"messages": [QUESTION, answer()], "tools": "{"}, '"tools" as a list'),
        ({"messages": [QUESTION, answer()], "tools": [{"type": "function"}]}, '"tools" as a list'),
        ({"messages": [QUESTION, answer()], "success": "yes"}, "success as true, false or null"),
    ],
)
def test_another_shape_is_named_with_its_line(write, record, expected):
    with pytest.raises(UserError, match=rf"chat.jsonl:2: .*{expected}"):
        list(Chat(write({"messages": [QUESTION, answer()]}, record)))


def test_a_missing_an_empty_and_a_broken_file_are_said(tmp_path):
    with pytest.raises(UserError, match=r"Cannot read .*none"):
        list(Chat(str(tmp_path / "none.jsonl")))
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(UserError, match="holds no record"):
        list(Chat(str(tmp_path / "empty.jsonl")))
    (tmp_path / "torn.jsonl").write_text('{"messages": []}\n{"messages": [')
    with pytest.raises(UserError, match=r"torn.jsonl:2: no valid JSON"):
        list(Chat(str(tmp_path / "torn.jsonl")))
