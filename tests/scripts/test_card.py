"""The nine candidates are what they say they are, and fewer steps to a level are counted as the table says."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from agenttrain import store
from agenttrain.commands.card import card
from agenttrain.errors import UserError
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.types import Action, Observation, Task, Trajectory, Turn

FILE = Path(__file__).parent.parent.parent / "scripts/recipes/card.py"


@pytest.fixture(scope="module", name="script")
def _script():
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("card_script", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = before


def walk(name, *seen):
    turns = [
        Turn(Action({"role": "assistant", "content": ""}), Observation([{"role": "tool", "content": text}]))
        for text in seen
    ]
    turns[-1].observation.feedback = {"success": seen[-1] == "the end"}
    return Trajectory(Task(name, []), turns, "done", [{"role": "user", "content": "in a1"}])


def test_the_five_bad_ones_are_rejected_and_one_that_tells_failures_apart_is_chosen(script, tmp_path):
    try:
        Sandbox().start_now()
    except UserError as error:
        pytest.skip(f"no walls hold here: {error}")
    rooms = [f"in a{number}" for number in range(2, 9)]
    for walked in (
        walk("won", *rooms, "the end"),
        walk("won late", *rooms[:4], "in a1", *rooms, "the end"),
        walk("lost", *rooms[:2], *["in a3"] * 12),
        walk("thrown back", *rooms, *["in a1"] * 6),
        walk("stuck", *["in a1"] * 20),
    ):
        store.append(tmp_path / "own/trajectories.jsonl", walked)
    card(tmp_path / "own", script.CANDIDATES, tmp_path / "out", seconds=5.0)
    figures = json.loads((tmp_path / "out/figures.json").read_text())
    names = {judged["name"] for judged in figures["candidates"]}
    rejected = {judged["name"] for judged in figures["candidates"] if not judged["accepted"]}
    assert len(names) == 9
    assert rejected == {name for name in names if name.startswith("bad_")}
    assert len({judged["why"] for judged in figures["candidates"] if judged["name"] in rejected}) == len(rejected) == 5
    assert figures["chosen"] == "furthest.py"


def test_a_level_is_reached_by_the_mean_of_five_steps(script):
    some = [(100.0 * n, rate) for n, rate in enumerate([0.0, 1.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5], start=1)]
    assert script.reached(some, 0.2) == 500.0
    assert script.reached(some, 0.3) == 600.0
    assert script.reached(some, 0.4) is None


def test_environment_steps_are_all_turns_of_the_episodes_so_far(script, tmp_path):
    rows = [{"turns": 20.0, "success": 0.1}, {"epoch": 1}, {"turns": 10.0, "success": 0.2}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert script.curve(tmp_path) == [(640.0, 0.1), (960.0, 0.2)]
