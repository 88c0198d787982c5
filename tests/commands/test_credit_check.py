"""agenttrain credit-check as a user runs it."""

import json
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from agenttrain import cli

SMALL = ["episodes=1600", "groups=2", "group_sizes=[2,8]"]

OWN = """
class Halves:
    def __init__(self, share: float = 0.5) -> None:
        self.share = share

    def __call__(self, batch):
        return [[self.share * sum(t.turn_rewards[k:]) for k in range(len(t.turns))] for t in batch]
"""


def call(*line):
    return CliRunner().invoke(cli.app, ["credit-check", *map(str, line)])


@pytest.fixture
def out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs/credit-check"


def test_chosen_strategies_are_measured_and_told_in_three_forms(out):
    result = call("credit=[turn,grpo]", "process=[stop_or_continue,chain]", *SMALL)
    assert result.exit_code == 0, result.output
    content = json.loads((out / "credit_check.json").read_text())
    seen = {(f["process"], f["credit"], f["group_size"]) for f in content["findings"]}
    assert seen == {(p, c, n) for p in ("stop_or_continue", "chain") for c in ("turn", "grpo") for n in (2, 8)}
    assert content["exact_gradients"]["stop_or_continue"] == [pytest.approx(0.767, abs=5e-4)]
    assert len(content["exact_gradients"]["chain"]) == 9
    page = (out / "credit_check.md").read_text()
    assert "| turn | 8 | 1.0" in page
    assert "stop_or_continue: exact gradient 0.767" in result.stdout
    picture = ElementTree.parse(out / "credit_check.svg").getroot()
    texts = {node.text for node in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"turn", "grpo", "stop_or_continue", "chain"} <= texts


def test_a_run_can_be_repeated_exactly(out):
    for place in ("a", "b"):
        assert call("credit=gigpo", "process=fog", *SMALL, f"out={place}").exit_code == 0
    assert (out.parent.parent / "a/credit_check.json").read_text() == (
        out.parent.parent / "b/credit_check.json"
    ).read_text()


def test_all_options_are_compared_unless_some_are_chosen(out):
    everything = call("--cfg", "choices").stdout
    assert "gigpo" in everything
    assert "stop_per_turn" in everything
    chosen = call("credit=[turn,gigpo]", "credit.gigpo.gamma=0.5", "process=fog", "--cfg", "choices").stdout
    assert set(chosen.split()) == {"credit=[turn,gigpo]", "process=[fog]"}
    job = call("credit=[turn,gigpo]", "credit.gigpo.gamma=0.5", "process=fog", "--cfg", "job").stdout
    assert "gamma: 0.5" in job


def test_a_strategy_of_the_users_own_is_measured_like_ours(out, tmp_path):
    (tmp_path / "mine/credit").mkdir(parents=True)
    (tmp_path / "mine/halves_module.py").write_text(OWN)
    (tmp_path / "mine/credit/halves.yaml").write_text("_target_: halves_module.Halves\nshare: 0.5\n")
    flags = ["--config-dir", tmp_path / "mine"]
    assert "halves*" in call("--help", *flags).stdout
    result = call("credit=halves", "credit.halves.share=0.25", "process=stop_or_continue", *SMALL, *flags)
    assert result.exit_code == 0, result.output
    (first, _) = json.loads((out / "credit_check.json").read_text())["findings"]
    assert first["finding"]["scale"]["low"] < 0.25 < first["finding"]["scale"]["high"]
    assert first["finding"]["verdict"] == "right sign"


FAULTS = {
    "unknown strategy": (["credit=gigpoo"], "no option 'gigpoo' in group credit. Did you mean gigpo?"),
    "unknown process": (["process=[chian]"], "no option 'chian' in group process. Did you mean chain?"),
    "a setting of a strategy that is not chosen": (
        ["credit=turn", "credit.gigpo.gamma=1"],
        "credit.gigpo has values, but is not chosen: credit=[turn,gigpo]",
    ),
    "a misspelt setting": (["credit.gigpo.gama=1"], "no 'credit.gigpo.gama' in credit-check. Did you mean"),
    "groups of one": (["group_sizes=[1]"], "a group 2 attempts or more"),
    "a process where nothing matters": (
        ["process=chain", "process.chain.deadline=2"],
        "process.chain: with these values",
    ),
    "too few episodes": (["episodes=100"], "Take episodes=6400 or more"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_in_a_line_and_nothing_is_written(fault, out):
    line, message = FAULTS[fault]
    result = call(*line)
    assert message in result.stderr
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) <= 2
    assert not out.exists()


def test_a_filled_folder_is_refused_without_talk_of_resuming(out):
    out.mkdir(parents=True)
    (out / "credit_check.json").write_text("")
    result = call("credit=turn", "process=fog", *SMALL)
    assert result.exit_code == 2
    assert "Choose another folder with out=" in result.stderr
    assert "resume" not in result.stderr
