import pytest
from typer.testing import CliRunner

from agenttrain import cli
from agenttrain.config import options

EMBEDDED = sorted(
    set(options.options("env", options.folders()))
    - {"trl_class", "functions", "gymnasium", "openenv", "several", "bfcl"}
)
"""Without those that others write, and without the one that holds others."""


def check(*words):
    return CliRunner().invoke(cli.app, ["env", "check", *words])


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_embedded_environment_keeps_its_promises(name):
    done = check(name, "tasks=4")
    assert done.exit_code == 0, done.output
    assert "broken" not in done.output
    assert done.output.count("kept") == 12


def test_a_broken_promise_is_told_and_ends_with_1():
    done = check("craft", "policy=craft_expert", "policy.error=1", "tasks=2")
    assert done.exit_code == 1
    assert "the expert solves every task                broken" in done.output
    assert "without success after" in done.output


def test_an_environment_without_an_expert_is_checked_without(tmp_path, monkeypatch):
    (tmp_path / "lamp.py").write_text(
        "class Lamp:\n"
        "    def reset(self, **row) -> str:\n        self.reward = 0.0\n        return 'It is dark.'\n"
        "    def press(self, hard: bool) -> str:\n"
        "        '''Press.\n\n        Args:\n            hard: or soft\n        '''\n"
        "        return 'Nothing happens.'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    done = check("trl_class", "env.target=lamp:Lamp", "task=craft")
    assert "not asked: no expert" in done.output


def test_a_misspelt_name_is_told():
    done = check("crafft")
    assert done.exit_code == 2
    assert "Did you mean craft?" in done.stderr
