"""`agenttrain sft`, from a file of records to a model folder and a report that accounts for every record."""

import json

import pytest

from agenttrain import run_folder, seen
from agenttrain.commands.sft import sft
from agenttrain.config.compose import compose
from agenttrain.data.fireact import Fireact
from agenttrain.errors import UserError
from agenttrain.model.pretrained import Pretrained
from agenttrain.model.tiny import Tiny
from agenttrain.trainer.sft import Sft


def record(number, reward=True):
    answer = f"{number}" + " and so on" * 99 * (number == 3)
    return {
        "messages": [
            {"role": "user", "content": f"Question {number}?"},
            {"role": "assistant", "content": f"Thought: Look.\nAction: search[{number}]"},
            {"role": "user", "content": "Observation: Nothing."},
            {"role": "assistant", "content": f"Thought: So.\nAction: finish[{answer}]"},
            {"role": "user", "content": f"Observation: Episode finished, reward = {reward}"},
        ]
    }


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "fireact.jsonl"
    path.write_text("".join(json.dumps(record(n, reward=n < 10)) + "\n" for n in range(12)))
    return Fireact(str(path))


def small():
    return Tiny(layers=1, hidden=64, heads=2, kv_heads=1, intermediate=128)


def test_the_report_accounts_for_every_record(tmp_path, data, capsys):
    out = tmp_path / "run"
    algo = Sft(max_steps=20, learning_rate=1e-2, max_length=250, heldout=0.2, batch_size=4)
    sft(small(), data, algo, out, seed=1)
    rows = [line.strip("| ").split(" | ") for line in (out / "report.md").read_text().splitlines() if " | " in line]
    facts = dict(row for row in rows if len(row) == 2)
    assert facts["records in"] == "12"
    assert facts["records kept"] == "10 (held out: 2)"
    assert facts["records dropped, failed"] == "2"
    assert facts["records truncated"] == "1"
    assert int(facts["tokens with loss cut off"]) > 99
    before, after = (float(facts[f"held-out loss {when}"].split()[0]) for when in ("before", "after"))
    assert after < before - 1
    printed = capsys.readouterr().out
    assert "records dropped, failed" in printed
    assert str(out / "model") in printed.splitlines()[-1]


def test_what_training_has_seen_of_a_named_set_stands_in_the_report(tmp_path, data):
    heldout = tmp_path / "heldout.jsonl"
    heldout.write_text("".join(json.dumps(record(n)) + "\n" for n in (1, 50, 51)))
    out = tmp_path / "run"
    sft(small(), data, Sft(max_steps=1), out, heldout={"agent": Fireact(str(heldout))})
    assert (
        "| seen in training, of agent | 1 of 3 (1 by the question, 0 by what they say) |"
        in (out / "report.md").read_text()
    )


def test_the_model_folder_loads_and_says_where_it_comes_from(tmp_path, data):
    out = tmp_path / "run"
    sft(small(), data, Sft(max_steps=2, heldout=0.0), out)
    card = (out / "model" / "README.md").read_text()
    assert "`tiny-0`" in card
    assert "records in: 12" in card
    assert "None" not in card
    assert Pretrained(path=str(out / "model")).load().chat.stop == "<|end|>"


def test_the_model_says_which_questions_trained_it(tmp_path, data):
    sft(small(), data, Sft(max_steps=1, heldout=0.0), tmp_path / "all")
    sft(small(), data, Sft(max_steps=1, heldout=0.3), tmp_path / "part")
    everything, part = (seen.read(str(tmp_path / name / "model")) for name in ("all", "part"))
    assert len(everything) == 10, "two of twelve ask what another asks"
    assert part < everything
    assert len(part) <= 8, "what is held out has trained nothing"


def test_a_fault_in_the_data_is_found_before_a_model_is_loaded(tmp_path):
    class Heavy:
        def load(self, workdir=None, trainable=False):
            raise AssertionError("loaded")

    with pytest.raises(UserError, match="nowhere"):
        sft(Heavy(), Fireact(str(tmp_path / "nowhere.jsonl")), Sft(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_fault_in_the_masks_leaves_no_run_behind(tmp_path, data):
    out = tmp_path / "runs" / "sft"
    with pytest.raises(UserError, match="no turn fits"), run_folder.opened(out, "seed: 0\n"):
        sft(small(), data, Sft(max_length=5), out)
    assert not (tmp_path / "runs").exists()


def test_any_argument_of_trl_can_be_given_on_the_command_line(tmp_path):
    composed = compose("sft", ["data.path=x", "algo.extra.neftune_noise_alpha=5"])
    assert composed.call().keywords["algo"].extra == {"neftune_noise_alpha": 5}


def test_a_method_that_learns_from_episodes_is_refused(tmp_path, data):
    class Grpo:
        pass

    with pytest.raises(UserError, match="algo=sft"):
        sft(small(), data, Grpo(), tmp_path / "run")
