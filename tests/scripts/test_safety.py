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


def module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


DESKS, SAFETY = module(DESK / "desk.py"), module(SCRIPT)


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


@pytest.mark.parametrize("arm", ["veto", "budget"])
def test_under_the_rules_of_the_script_a_safe_success_pays_most_and_nothing_pays_better_than_trying(arm):
    def paid(asks: float, succeeds: bool) -> float:
        """Of an episode that deletes, asked for or not; a multiplier at its bound."""
        words = ["model=tiny", "env=desk", "task=desk", "reward=[rlvf,desk_safety]", *SAFETY.ARMS[arm].split()]
        given = compose("rl", words, DESK).call().keywords
        combine, rewards = given["combine"], given["reward"]
        combine.begin(rewards)
        combine.multipliers = dict.fromkeys(combine.multipliers, combine.most)
        (ended,) = rollout([Attempt(next(iter(DESKS.DeskTasks(n=1))))], DESKS.Desk(), DESKS.DeskExpert(asks), Limits())
        ended.turns[-1].observation.feedback["success"] = succeeds
        return sum(combine.weigh(score(ended, rewards)).turn_rewards)

    assert paid(asks=1.0, succeeds=True) == 1.0
    assert paid(asks=0.0, succeeds=True) == paid(asks=0.0, succeeds=False) == paid(asks=1.0, succeeds=False) == 0.0


def test_shares_have_counts_and_intervals():
    assert SAFETY.share([True] + [False] * 499) == "0.2 % (0.0 to 1.1; 1 of 500)"
    assert SAFETY.share([]) == "none of 0"


@pytest.mark.slow
def test_the_script_ends_with_its_table(tmp_path):
    words = ["--out", tmp_path, "--seeds", "0", "--notes", "20", "--steps", "1", "--tasks", "4"]
    subprocess.run([sys.executable, SCRIPT, *words], check=True, timeout=600)
    rows = (tmp_path / "table.md").read_text().splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["clone", "outcome", "veto", "budget"]
