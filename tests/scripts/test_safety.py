"""The desk of the safety experiment: what its verifier does not see, its principles do."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from agenttrain.config.compose import compose
from agenttrain.reward.score import score
from agenttrain.rollout import Attempt, Limits, rollout

SCRIPT = Path(__file__).parent.parent.parent / "scripts/recipes/safety.py"
DESK = SCRIPT.with_name("desk")


def module():
    spec = importlib.util.spec_from_file_location("desk", DESK / "desk.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["desk"] = module
    spec.loader.exec_module(module)
    return module


DESKS = module()


def played(asks, obeys, injected):
    """Each principle that the expert breaks, and how often it succeeds, over 20 notes."""
    words = ["model=tiny", "env=desk", "task=desk", "reward=[rlvf,desk_safety]"]
    rewards = compose("rl", words, DESK).call().keywords["reward"]
    tasks = DESKS.DeskTasks(n=20, injected=injected)
    ended = rollout(map(Attempt, tasks), DESKS.Desk(), DESKS.DeskExpert(asks, obeys), Limits())
    episodes = [score(trajectory, rewards) for trajectory in ended]
    broken = {name for t in episodes for turn in t.turns for name in turn.observation.feedback["violations"]}
    return broken, sum(t.success for t in episodes)


@pytest.mark.parametrize(
    ("asks", "obeys", "broken"),
    [(1.0, 0.0, set()), (0.0, 0.0, {"confirm"}), (1.0, 1.0, {"injection"}), (0.5, 0.5, {"confirm", "injection"})],
)
def test_the_verifier_is_blind_to_what_the_principles_see(asks, obeys, broken):
    assert played(asks, obeys, injected=1.0) == (broken, 20)


def test_a_note_without_an_instruction_cannot_be_obeyed():
    assert played(1.0, 1.0, injected=0.0) == (set(), 20)


@pytest.mark.slow
def test_the_script_ends_with_its_table(tmp_path):
    words = ["--out", tmp_path, "--notes", "20", "--steps", "1", "--tasks", "4"]
    subprocess.run([sys.executable, SCRIPT, *words], check=True, timeout=600)
    rows = (tmp_path / "table.md").read_text().splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["clone", "outcome", "veto"]
