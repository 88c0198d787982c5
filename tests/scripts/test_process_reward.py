"""The experiment with a process reward composes, and counts what it says it counts."""

import importlib.util
import json
import sys
from inspect import signature
from pathlib import Path

import pytest

from agenttrain.config.compose import compose
from agenttrain.types import Action, Observation, Task, Trajectory, Turn

FILE = Path(__file__).parent.parent.parent / "scripts/recipes/process_reward.py"


@pytest.fixture(scope="module")
def script():
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("process_reward_script", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = before


def test_every_command_composes_and_reads_what_another_left(script, tmp_path, monkeypatch):
    made, settings = [], {}

    def command(out, name, *words):
        settings[out.name] = compose(name, [*words, f"out={out}"]).values
        for word in words:
            if str(tmp_path) in word:
                place = Path(word.partition("=")[2])
                assert place.parent in (tmp_path / "clone-3/sft", *made) or place in made, word
        made.append(out)

    monkeypatch.setattr(script, "command", command)
    fits = signature(script.clone).bind

    def clone(*args):
        given = fits(*args).arguments
        made.append(given["out"] / f"{given['name']}-{given['seed']}" / "sft")

    monkeypatch.setattr(script, "clone", clone)
    script.one_seed(tmp_path, 7, 3)
    base = settings["rl-turn"]
    for name in script.LABELS:
        arm = settings[f"rl-{name}"]
        assert {key for key in base if base[key] != arm[key]} == {"out", "reward"}
        assert {*arm["reward"]} == {"rlvf", "prm"}
    assert settings["rl-grpo"]["algo"] == base["algo"]


def test_the_error_is_of_the_probability_after_each_turn_but_the_last(script):
    def episode(success, *scores):
        turns = [Turn(Action({}), Observation([])) for _ in scores]
        turns[-1].observation.feedback = {"success": success}
        return Trajectory(Task("t", []), turns, "done", scores={"prm": list(scores)})

    judged = [episode(True, 0.5, 0.25, -0.75), episode(False, 0.5, 0.5)]
    error, of_mean = script.errors(judged)
    assert error == pytest.approx((0.5**2 + 0.25**2 + 0.5**2) / 3)
    assert of_mean == pytest.approx(2 / 9)


def test_the_table_pairs_by_seed_and_counts_the_labels(script, tmp_path):
    def run(arm, seed, successes):
        folder = tmp_path / f"{arm}-{seed}"
        folder.mkdir()
        rows = [{"turns": 10.0, "success": value} for value in successes]
        (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return script.Run("loops", arm, 0.0, seed, folder)

    rates = {"grpo": [0.2] * 10, "turn": [0.3] * 10, "outcomes": [0.6] * 10}
    runs = {arm: [run(arm, seed, [r + 0.1 * seed for r in rs]) for seed in range(3)] for arm, rs in rates.items()}
    models = [script.Judged(1600, 0.1, 0.2, 0.25, 0.3, 0.4, 0.9)] * 3
    lines = script.table(runs, {"outcomes": models}).splitlines()
    assert lines[0] == "3.2 thousand environment steps; 50% over 5 steps of training."
    assert "| grpo | 0.300 (0.052 to 0.548) | 0.300 (0.052 to 0.548) | never, never, never |" in lines
    assert any(line.startswith("| outcomes | 0.700") and line.endswith("| 1.6, 1.6, 1.6 |") for line in lines)
    assert any(line.startswith("| outcomes, labels counted | 0.400") for line in lines)
    assert any(line.startswith("| outcomes - turn | +0.300 (+0.300 to +0.300) | 3 of 3 |") for line in lines)
    assert any(line.startswith("| outcomes - turn |") and line.endswith("| 2 of 3 |") for line in lines), "as soon"
    assert lines[-1] == "| outcomes | 1.6 | 0.200 | 0.250 | 0.300 | 0.400 | 0.900 |"
