"""The share of valid actions counts what it says it counts, on records that were held out."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from agenttrain.types import Action, Conversation

FILE = Path(__file__).parent.parent.parent / "scripts/action_format.py"
WELL = "Thought: I look.\nAction: search[rain]"


def script():
    spec = importlib.util.spec_from_file_location("action_format", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = script()


@pytest.fixture
def run(tmp_path):
    """The folder of a run on 40 records of two turns, a quarter of them held out."""
    turns = [("assistant", WELL), ("user", "Observation: wet"), ("assistant", "Action: finish[yes]")]
    records = [[("user", f"Question {number}?"), *turns] for number in range(40)]
    lines = [{"messages": [{"role": role, "content": text} for role, text in record]} for record in records]
    (tmp_path / "records.jsonl").write_text("\n".join(map(json.dumps, lines)))
    data = {"_target_": "agenttrain.data.fireact.Fireact", "path": str(tmp_path / "records.jsonl"), "success": None}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"data": data, "algo": {"heldout": 0.25}, "seed": 0}))
    return tmp_path


class Said:
    """A policy that says what it is told, whatever it is asked."""

    def __init__(self, *actions):
        self.actions, self.asked = list(actions), []

    def submit(self, conversation):
        self.asked.append(conversation)

    def poll(self, timeout):
        asked, self.asked = self.asked, []
        return [(conversation, self.actions.pop(0)) for conversation in reversed(asked)]

    def release(self, conversation):
        pass


def call(name, finish="stop", **arguments):
    function = {"name": name, "arguments": arguments}
    return Action({"role": "assistant", "content": "", "tool_calls": [{"function": function}]}, finish=finish)


def test_the_records_asked_about_are_fewer_than_the_run_held_out_and_the_same_for_its_seed(run):
    kept_out = SCRIPT.heldout(run)
    assert len(kept_out) == 9  # of the 10 that the run held out
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**config, "seed": 1}))
    assert {one.id for one in SCRIPT.heldout(run)} != {one.id for one in kept_out}


def test_each_trained_turn_is_asked_for_with_what_was_before_it(run):
    example = SCRIPT.heldout(run)[0]
    first, second = SCRIPT.asked(example, 20)
    assert [message["role"] for message in first.messages] == ["user"]
    assert [message["role"] for message in second.messages] == ["user", "assistant", "tool"]
    assert not any("train" in message for message in second.messages)
    assert (first.max_tokens, first.tools) == (20, example.tools)


def test_an_action_is_valid_if_it_is_whole_and_calls_a_tool_with_arguments_that_fit(run):
    (turn, _) = SCRIPT.asked(SCRIPT.heldout(run)[0], 20)
    actions = [
        call("search", query="rain"),
        call("search", "length", query="rain"),
        call("search", answer="rain"),
        call("look", query="rain"),
        Action({"role": "assistant", "content": "rain"}),
    ]
    turns = [replace(turn, seed=number) for number in range(len(actions))]
    policy = Said(*reversed(actions))  # it answers the last one first
    assert SCRIPT.tried(policy, turns) == [True, False, False, False, False]


def test_only_invalid_actions_are_asked_for_again_and_each_time_with_another_seed(run):
    turns = list(SCRIPT.asked(SCRIPT.heldout(run)[0], 20))
    bad, good = Action({"role": "assistant", "content": "rain"}), call("finish", answer="yes")
    policy = Said(bad, good)
    seeds = []
    policy.release = lambda conversation: seeds.append(conversation.seed)
    assert SCRIPT.tried_again(policy, turns, [True, False], 5) == [True, True]
    assert seeds == [1, 2]
    assert SCRIPT.tried_again(Said(bad, bad), turns, [True, False], 2) == [True, False]


def test_a_policy_that_cannot_act_is_no_invalid_action(run):
    (turn, _) = SCRIPT.asked(SCRIPT.heldout(run)[0], 20)
    with pytest.raises(OSError, match="gone"):
        SCRIPT.tried(Said(OSError("gone")), [turn])


def test_the_mean_over_records_weighs_each_record_the_same():
    turns = [Conversation(name, [], [], 0) for name in "aaab"]
    assert SCRIPT.told(turns, [True, True, True, False]).startswith(
        "3 of 4 actions are valid, 75.0%; mean over 2 records 50.0% ("
    )


def test_records_that_settings_were_chosen_on_can_be_passed_over(run, monkeypatch, capsys):
    asked, sampling = [], []

    class Sampled:
        def __init__(self, temperature, top_p, context):
            sampling.append((temperature, top_p))

        def attach(self, model, chat, name):
            pass

        def submit(self, conversation):
            asked.append(conversation)

        def poll(self, timeout):
            return [(conversation, call("search", query="rain")) for conversation in asked]

        def release(self, conversation):
            pass

    monkeypatch.setattr(SCRIPT, "Local", Sampled)
    monkeypatch.setattr(SCRIPT, "Pretrained", lambda path: Sampled)
    Sampled.load = lambda: SimpleNamespace(model=None, chat=None, name="")
    told = ["action_format.py", str(run), "--records", "2", "--temperature", "0.7", "--top-p", "0.9", "--skip"]
    monkeypatch.setattr("sys.argv", [*told, "5"])
    SCRIPT.main()
    assert {conversation.id for conversation in asked} == {one.id for one in SCRIPT.heldout(run)[5:7]}
    assert sampling == [(0.7, 0.9)]
    assert "first try: 4 of 4 actions" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", [*told, "9"])
    with pytest.raises(SystemExit):
        SCRIPT.main()
    assert "held out no record after the first 9" in capsys.readouterr().err
