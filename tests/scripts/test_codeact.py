"""The tiny CodeAct experiment counts what it says it counts."""

import importlib.util
import math
from argparse import Namespace
from pathlib import Path

import pytest

from agenttrain import store
from agenttrain.config.compose import compose
from agenttrain.types import Action, Observation, Task, Trajectory, Turn

FILE = Path(__file__).parent.parent.parent / "scripts/recipes/codeact.py"


def script():
    spec = importlib.util.spec_from_file_location("codeact_script", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = script()


def episode(turns, success):
    played = [Turn(Action({"role": "assistant", "content": ""}), Observation([])) for _ in range(turns)]
    played[-1].observation.feedback = {"success": success}
    return Trajectory(Task("t", []), played, "done")


def test_success_within_k_turns_is_of_all_episodes_and_turns_are_of_successes():
    found = SCRIPT.figures([episode(2, True), episode(6, True), episode(3, False), episode(5, True)])
    assert found["turns of successes"] == pytest.approx(13 / 3)
    assert [found[f"success within {k} turns"] for k in (1, 2, 4, 5, 10)] == [0, 25, 25, 50, 75]
    assert math.isnan(SCRIPT.figures([episode(3, False)])["turns of successes"])


def test_the_table_compares_code_with_each_rival_seed_by_seed():
    code, other = ([dict.fromkeys(SCRIPT.ROWS, value) for value in values] for values in ((10, 20, 30), (15, 25, 35)))
    lines = SCRIPT.table({"code": code, "json": other})
    assert lines[0] == "| | code | json | code - json |"
    assert len(lines) == 2 + 7
    assert lines[-1].endswith("| 20.0 (0.0 to 44.8) | 25.0 (0.2 to 49.8) | -5.0 (-5.0 to -5.0) |")


def test_a_model_learns_from_what_the_teacher_of_its_own_form_and_seed_played(tmp_path, monkeypatch):
    typed = []

    def command(out, name, *words):
        typed.append((out, name, compose(name, [*words, f"out={out}"]).values))
        if name != "sft":
            with store.Writer(out / "trajectories.jsonl") as writer:
                writer.write(episode(2, name == "generate-trajectories"))

    monkeypatch.setattr(SCRIPT, "command", command)
    chosen = Namespace(out=tmp_path, n=4, set=["algo.epochs=2"])
    assert SCRIPT.played(chosen, "teacher", 1, "json")[0].success
    assert not SCRIPT.played(chosen, "model", 1, "json")[0].success
    (taught, _, teacher), (_, _, sft), (_, _, evaluated) = typed
    assert [name for _, name, _ in typed] == ["generate-trajectories", "sft", "eval"]
    assert sft["data"]["path"] == f"{taught}/trajectories.jsonl"
    assert sft["algo"]["epochs"] == 2
    assert teacher["env"]["actions"] == evaluated["env"]["actions"] == "json"
    assert (teacher["task"]["split"], evaluated["task"]["split"]) == ("train", "heldout")
