"""The AgentTuning experiment composes, keeps held-out records out, and compares as many agent records at each share."""

import importlib.util
import json
from argparse import Namespace
from pathlib import Path

import pytest

from agenttrain.config.compose import compose

FILE = Path(__file__).parent.parent.parent / "scripts/recipes/agenttuning.py"


@pytest.fixture(name="script")
def _script():
    spec = importlib.util.spec_from_file_location("agenttuning_script", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(name="chosen")
def _chosen(tmp_path):
    texts, records = tmp_path / "texts.jsonl", tmp_path / "records.jsonl"
    texts.write_text("".join(json.dumps({"question": f"q{n}", "answer": f"a{n}"}) + "\n" for n in range(70)))
    asked = [{"messages": [{"role": "user", "content": f"Question: q{n // 2}"}]} for n in range(140)]
    records.write_text("".join(json.dumps(record) + "\n" for record in asked))
    options = {"etas": [0.2, 1.0], "draws": 30, "texts": 8, "model": "tiny_0_2m", "rates": [5e-3, 1e-3]}
    return Namespace(general=texts, agent=records, play=None, out=tmp_path / "out", **options)


@pytest.fixture(name="made")
def _made(script, monkeypatch):
    settings = {}

    def command(out, name, *words):
        settings[out.parent.name if name == "eval" else out.name, name] = compose(name, [*words, f"out={out}"]).values
        out.mkdir(parents=True)
        if name == "sft":
            measured = [{"heldout_general_loss": 4.0, "heldout_agent_loss": 6.0}, {"loss": 1.0}]
            after = {"heldout_general_loss": 3.5, "heldout_agent_loss": 5.0}
            (out / "metrics.jsonl").write_text("\n".join(map(json.dumps, [*measured, after])))
        (out / "eval.json").write_text(json.dumps({"success": {"value": 0.25}}))

    monkeypatch.setattr(script, "command", command)
    return settings


def test_every_share_draws_as_many_agent_records_and_starts_from_the_base(script, chosen, made):
    found = script.one_seed(chosen, 3)
    mixtures = {name: made[name, "sft"] for name in ("eta-0.2", "eta-1.0")}
    for values in mixtures.values():
        assert values["data"]["n"] * values["data"]["shares"]["agent"] == pytest.approx(30)
        assert values["model"]["path"] == str(chosen.out / "3/base/model")
    assert made["base", "sft"]["data"]["shares"] == {"agent": 0, "general": 1}
    assert found["base"] == {"general": 4.0, "agent": 6.0}
    assert found["eta = 1.0"] == {"general": 3.5, "agent": 5.0}


def test_held_out_records_and_other_answers_to_their_questions_never_train(script, chosen, made):
    script.one_seed(chosen, 3)
    folder = chosen.out / "3"
    for kind in ("agent", "general"):
        train, heldout = (script.lines(folder / f"{kind}{part}.jsonl") for part in ("", "-heldout"))
        assert len(heldout) == 60
        assert not {*train} & {*heldout}
    assert len(script.lines(folder / "agent.jsonl")) == 20, "both records of the ten questions that are left"


def test_who_plays_is_measured_on_tasks_that_the_expert_did_not_play(script, chosen, made):
    chosen.agent, chosen.play = None, 40
    found = script.one_seed(chosen, 3)
    assert [found[arm]["success"] for arm in found] == [25.0] * 3
    assert made["expert", "generate-trajectories"]["task"]["split"] == "train"
    for name, command in (("expert-heldout", "generate-trajectories"), ("base", "eval"), ("eta-1.0", "eval")):
        assert made[name, command]["task"]["split"] == "heldout"
    assert made["eta-0.2", "sft"]["data"]["of"]["agent"]["path"] == str(chosen.out / "3/expert/trajectories.jsonl")


def test_the_table_has_a_row_for_each_arm_and_each_difference(script):
    values = {"base": (4.0, 5.0), "eta = 0.2": (3.0, 5.0), "eta = 1.0": (6.0, 6.0)}
    arms = {
        arm: [{"general": value, "success": 99.0 + place} for place, value in enumerate(both)]
        for arm, both in values.items()
    }
    assert script.table(arms).splitlines() == [
        "| | general loss | success, % |",
        "|---|---|---|",
        "| base | 4.50 (0.00 to 10.85) | 99.5 (93.1 to 100.0) |",
        "| eta = 0.2 | 4.00 (0.00 to 16.71) | 99.5 (93.1 to 100.0) |",
        "| eta = 1.0 | 6.00 (6.00 to 6.00) | 99.5 (93.1 to 100.0) |",
        "| eta = 0.2, less base | -0.50 (-6.85 to 5.85) | 0.0 (0.0 to 0.0) |",
        "| eta = 1.0, less base | 1.50 (-4.85 to 7.85) | 0.0 (0.0 to 0.0) |",
        "| eta = 0.2, less eta = 1.0 | -2.00 (-14.71 to 10.71) | 0.0 (0.0 to 0.0) |",
    ]
