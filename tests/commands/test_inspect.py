"""`agenttrain inspect`: a reader sees what is trained, and a wrong mask ends in exit code 1."""

import json

import pytest
from typer.testing import CliRunner

from agenttrain import cli, store
from agenttrain.config.compose import compose
from agenttrain.model.tiny import Tiny
from agenttrain.types import Action, Observation, Task, Trajectory, Turn

FIREACT = {
    "messages": [
        {"role": "user", "content": "Who founded Oz?"},
        {"role": "assistant", "content": "Thought: Look.\nAction: search[Oz]"},
        {"role": "user", "content": "Observation: Oz was founded by a zebra."},
        {"role": "assistant", "content": "Thought: So.\nAction: finish[zebra]"},
        {"role": "user", "content": "Observation: Episode finished, reward = True"},
    ]
}


def inspect(*words):
    result = CliRunner().invoke(cli.app, ["inspect", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def trained(text):
    """What stands between the marks of tokens with loss."""
    return [part.split("]]")[0] for part in text.split("[[")[2:]]  # the first pair is the legend


@pytest.fixture
def fireact(tmp_path):
    path = tmp_path / "it's fireact.jsonl"
    failed = json.dumps(FIREACT).replace("reward = True", "reward = False").replace("Oz", "Troy")
    path.write_text(json.dumps(FIREACT) + "\n" + failed + "\n")
    return path


def episode(chat, second="Gold.", told="A chest."):
    messages = [{"role": "user", "content": "Dig."}]
    say, done = {"role": "assistant", "content": "I dig."}, {"role": "assistant", "content": second}
    seen = [{"role": "user", "content": told}]
    turns = [
        Turn(Action(say, chat.open(messages, []), chat.reply(say)), Observation(seen)),
        Turn(Action(done, chat.extend(seen), chat.reply(done)), Observation([], done=True)),
    ]
    trajectory = Trajectory(Task("t", messages), turns, "done", messages, scores={"success": [0.0, 0.25]})
    trajectory.meta["advantages"] = [-0.5, 1.5]
    return trajectory


def test_observations_of_fireact_are_shown_without_loss(fireact):
    code, text = inspect(fireact, "--data", "fireact", "data.calls=text")
    assert code == 0
    assert trained(text) == [
        "Thought: Look.\nAction: search[Oz]<|end|>",
        "Thought: So.\nAction: finish[zebra]<|end|>",
    ]
    assert "founded by a zebra" in text
    assert "reward =" not in text
    assert "2 records: 1 kept" in text
    assert "1 dropped (failed)" in text


def test_a_run_of_sft_shows_the_records_it_trained_on_as_it_read_them(fireact, tmp_path):
    Tiny().build(tmp_path / "run/model")
    out = tmp_path / "run"
    chosen = ["data=fireact", f'data.path="{fireact}"', "data.calls=text", "data.success=null", "algo.max_length=512"]
    (out / "config.yaml").write_text(compose("sft", chosen).yaml())
    code, text = inspect(out)
    assert code == 0
    assert trained(text)[0] == "Thought: Look.\nAction: search[Oz]<|end|>"
    assert "2 records: 2 kept" in text
    assert "1 kept, 1 of them truncated" in inspect(out, "data.success=true", "algo.max_length=40")[1]


def test_a_run_shows_turns_with_scores_and_advantages(tmp_path):
    store.append(tmp_path / "trajectories.jsonl", episode(Tiny().load().chat))
    code, text = inspect(tmp_path)
    assert code == 0
    assert trained(text) == ["I dig.<|end|>", "Gold.<|end|>"]
    assert "turn 0, success 0, advantage -0.5" in text
    assert "turn 1, success 0.25, advantage 1.5" in text


def test_turns_without_loss_are_marked_otherwise(fireact):
    code, text = inspect(fireact, "data.turns=last", "data.calls=text", "--data", "fireact")
    assert code == 0
    assert trained(text) == ["Thought: So.\nAction: finish[zebra]<|end|>"]
    assert "((Thought: Look." in text


def test_a_wrong_mask_ends_with_1_and_says_where(tmp_path):
    chat = Tiny().load().chat
    trajectory = episode(chat)
    # As a broken engine would leave it: the observation's first tokens among the sampled ones.
    first, second = trajectory.turns[0].action, trajectory.turns[1].action
    first.token_ids, second.prompt_ids = first.token_ids + second.prompt_ids[:3], second.prompt_ids[3:]
    store.append(tmp_path / "trajectories.jsonl", trajectory)
    code, text = inspect(tmp_path)
    assert code == 1
    assert text.count("Fault:") == 2
    assert "trajectories.jsonl:1: the tokens of turn 0" in text


def test_what_a_tool_answered_does_not_steer_the_terminal(tmp_path):
    store.append(tmp_path / "trajectories.jsonl", episode(Tiny().load().chat, told="\x1b[2JGone.\r"))
    _, text = inspect(tmp_path)
    assert r"\x1b[2JGone.\r" in text
    assert not {"\x1b", "\r"} & set(text)


def test_nothing_to_train_ends_with_1(fireact):
    code, text = inspect(fireact, "--data", "fireact", "algo.max_length=5")
    assert code == 1
    assert "no turn fits into max_length" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [(["none.jsonl"], "No such file"), (["{file}"], "--data chat"), (["{file}", "--data", "firact"], "fireact")],
)
def test_a_file_that_cannot_be_read_is_told_in_a_line(fireact, words, said):
    code, text = inspect(*(word.format(file=fireact) for word in words))
    assert code == 2
    assert said in text
    assert "Traceback" not in text


def test_counts_and_faults_are_told_to_programs_too(fireact):
    code, text = inspect(fireact, "--data", "fireact", "data.calls=text", "--json")
    told = json.loads(text)
    assert code == 0
    assert (told["fault"], told["records"], told["kept"], told["dropped"]) == (None, 2, 1, {"failed": 1})
    assert 0 < told["trained"] < told["tokens"]
    code, text = inspect(fireact, "--data", "fireact", "data.calls=text", "algo.max_length=4", "--json")
    assert (code, list(json.loads(text))) == (1, ["fault"])
