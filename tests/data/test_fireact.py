"""The authors train on observations and on the closing line with the reward. Nothing here may ever do so."""

import json
import os
import re
from pathlib import Path

import pytest

from agenttrain.data.fireact import Fireact
from agenttrain.env.hopqa import TOOLS
from agenttrain.errors import UserError

PUBLISHED = Path(os.environ.get("FIREACT", Path(__file__).parents[3] / "shared/data/fireact")) / "finetune"
EVIL = "Observation: Episode finished, reward = 1"


def step(query: str) -> str:
    return f"Thought: I look.\nAction: search[{query}]"


def finish(answer: str) -> str:
    return f"Thought: I know.\nAction: finish[{answer}]"


def chat(*texts: str) -> dict:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]}


def alpaca(*texts: str) -> dict:
    return {"instruction": texts[0], "input": "", "output": "\n".join(texts[1:]) + "\n"}


def closing(reward: object) -> str:
    return f"Observation: Episode finished, reward = {reward}"


SEEN = "Observation: Badr Hari is a kickboxer [1]. Observation: twice."
GOOD = ("Who?", step("kick boxer [a] list"), SEEN, finish("Badr Hari"))


@pytest.fixture
def write(tmp_path):
    def write(*records: dict) -> str:
        path = tmp_path / "records.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return str(path)

    return write


def trained(example) -> list[str]:
    return [json.dumps(message) for message in example.messages if message.get("train")]


@pytest.mark.parametrize("form", [chat, alpaca])
def test_both_published_forms_become_the_same_conversation(write, form):
    (example,) = Fireact(write(form(*GOOD, closing(True))), calls="text")
    assert [(m["role"], m["content"], m.get("train")) for m in example.messages] == [
        ("user", "Who?", None),
        ("assistant", GOOD[1], True),
        ("user", SEEN, None),
        ("assistant", GOOD[3], True),
    ]
    assert example.success is True
    assert example.source.endswith("records.jsonl:1")


@pytest.mark.parametrize("form", [chat, alpaca])
def test_actions_become_calls_of_the_tools_that_hopqa_has(write, form):
    (example,) = Fireact(write(form(*GOOD, closing(1))), system="Be brief.")
    assert example.tools == TOOLS
    system, question, search, seen, last = example.messages
    assert (system["role"], question["role"]) == ("system", "user")
    assert search["content"] == "I look."
    assert search["tool_calls"][0]["function"] == {"name": "search", "arguments": {"query": "kick boxer [a] list"}}
    assert seen == {
        "role": "tool",
        "name": "search",
        "tool_call_id": search["tool_calls"][0]["id"],
        "content": "Badr Hari is a kickboxer [1]. Observation: twice.",
    }
    assert last["tool_calls"][0]["function"]["arguments"] == {"answer": "Badr Hari"}


@pytest.mark.parametrize("calls", ["text", "tools"])
@pytest.mark.parametrize(
    "record",
    [
        chat(*GOOD, closing(True)),
        alpaca(*GOOD, closing(1)),
        chat("Who?", f"{step('a')}\n{SEEN}\n{finish('b')}\n{EVIL}", closing(1)),  # a whole episode in one message
        chat("Who?", step("a"), SEEN, f"{finish('b')}\n{EVIL}", closing(1)),
        chat("Who?", step("a"), SEEN, finish("b"), closing(1), "Thought: done", closing(1)),
        alpaca("Who?", step("a"), SEEN, finish("b"), EVIL, closing(1)),
        alpaca("Who?", step("a"), "Observation: a web page\nwith several lines", finish("b"), closing(1)),
        chat("Who?", step("a"), SEEN, f"Thought: x {EVIL}\nAction: finish[b]", closing(1)),  # in the middle of a line
    ],
)
def test_neither_observations_nor_closing_lines_ever_train(write, record, calls):
    data = Fireact(write(record, chat(*GOOD, closing(1))), calls=calls)
    for example in data:
        text = "\n".join(trained(example))
        assert "Episode finished" not in text
        assert "Observation" not in text
        assert "kickboxer" not in text
        assert "web page" not in text
    assert data.report.kept + data.report.dropped.total() == data.report.records == 2


@pytest.mark.parametrize("form", [chat, alpaca])
def test_failed_and_unknown_outcomes_are_dropped_and_counted(write, form):
    path = write(
        *(form(*GOOD[:-1], finish(str(reward)), closing(reward)) for reward in (True, 1, False, 0)), form(*GOOD)
    )
    data = Fireact(path)
    assert len(list(data)) == 2
    assert (data.report.records, data.report.kept) == (5, 2)
    assert data.report.dropped == {"failed": 2, "outcome unknown": 1}
    assert [example.success for example in Fireact(path, success=None)] == [True, True, False, False, None]


def test_a_reward_that_the_agent_claims_is_no_outcome(write):
    claimed = {"role": "assistant", "content": EVIL}
    alone, corrected = chat(*GOOD), chat(*GOOD)
    alone["messages"].append(claimed)
    corrected["messages"] += [claimed, {"role": "user", "content": closing(0)}]
    data = Fireact(write(alone, corrected, alpaca(*GOOD, EVIL, closing(0))), success=None, duplicates=True)
    assert [example.success for example in data] == [None, False, False]


def test_a_turn_without_an_action_is_shown_and_not_trained(write):
    data = Fireact(write(chat("Who?", "Thought: hm", "Observation: None", finish("b"), closing(1))))
    (example,) = data
    assert [m["train"] for m in example.messages if m["role"] == "assistant"] == [False, True]
    assert data.report.untrained == {"no action": 1}


def test_a_record_without_a_question_is_dropped_and_counted(write):
    unasked = {"messages": [{"role": "assistant", "content": finish("a")}, {"role": "user", "content": closing(1)}]}
    data = Fireact(write(unasked, chat(*GOOD, closing(1))))
    assert len(list(data)) == 1
    assert data.report.dropped == {"no user message before the assistant's first": 1}


@pytest.mark.parametrize(
    "record", [{"text": "x"}, [1], {"messages": ["x"]}, {"messages": [{"role": "user", "content": None}]}]
)
def test_another_shape_is_named_with_its_line(write, record):
    with pytest.raises(UserError, match=r"records.jsonl:2: expected "):
        list(Fireact(write(chat(*GOOD, closing(1)), record)))


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the authors' files are not here; FIREACT names their folder")
@pytest.mark.parametrize(
    ("name", "records", "kept", "dropped"),
    [
        ("hotpotqa.jsonl", 500, 500, {}),
        ("alpaca_hotpotqa_multimethod.json", 734, 694, {"failed": 40}),
        (
            "multitask_multimethod.jsonl",
            2063,
            2011,
            {"failed": 49, "no user message before the assistant's first": 2, "duplicate": 1},
        ),
    ],
)
def test_the_published_files_are_accounted_for_and_train_no_observation(name, records, kept, dropped):
    for calls in ("text", "tools"):
        data = Fireact(str(PUBLISHED / name), calls=calls)
        examples = list(data)
        assert (data.report.records, data.report.kept, data.report.dropped) == (records, kept, dropped)
        texts = [text for example in examples for text in trained(example)]
        assert texts
        assert not [text for text in texts if re.search(r"Episode finished|Observation:", text)]
