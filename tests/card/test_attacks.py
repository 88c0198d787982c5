"""Hostile programs as reward functions: those that the syntax tree lets pass, each with a `reward` at its end."""

from pathlib import Path

import pytest

from agenttrain.card.source import fault
from agenttrain.errors import UserError
from agenttrain.sandbox.sandbox import Sandbox

from .coding import LONG, episode, judge

FOLDER = Path(__file__).parents[3] / "shared" / "attacks"
SOURCES = {file.name: f"{file.read_text()}\n\n{LONG}" for file in sorted(FOLDER.glob("*.py"))}
RUN = sorted(name for name, source in SOURCES.items() if fault(source) is None)
if not RUN:
    pytest.skip("no ../shared/attacks beside the checkout", allow_module_level=True)


@pytest.fixture(scope="module")
def sandbox():
    box = Sandbox()
    try:
        box.start_now()
    except UserError as error:
        pytest.skip(f"no walls hold here: {error}")
    yield box
    box.close()


@pytest.mark.parametrize("name", RUN)
def test_a_hostile_program_is_no_reward(sandbox, name):
    some = judge(episode(0, True), episode(1, False))
    some.sandbox, some.seconds = sandbox, 2.0
    verdict = some(name, SOURCES[name])
    assert not verdict.accepted
    assert verdict.scores in ([], [[1.0] * 2, [1.0] * 4]), "it ended, or gave what the function at its end gives"
