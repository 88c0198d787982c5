"""The nine candidates are what they say they are, and fewer steps to a level are counted as the table says."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from agenttrain import store
from agenttrain.commands.card import card
from agenttrain.config.compose import compose
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


def test_every_command_composes_and_both_are_trained_alike_but_for_the_reward(script, tmp_path, monkeypatch):
    settings = {}
    monkeypatch.setattr(script, "clone", lambda *args: None)
    monkeypatch.setattr(
        script, "command", lambda out, *words: settings.update({out.name: compose(words[0], [*words[1:]]).values})
    )
    script.one_seed(tmp_path, 7, 3)
    sparse, dense = settings["rlvf"], settings["card"]
    assert {key for key in sparse if sparse[key] != dense[key]} == {"reward"}
    assert [*dense["reward"]] == ["card"]
    assert settings["judged"]["path"] == str(tmp_path / "clone-3/loops"), "what the clone imitates"
    assert dense["reward"]["card"]["path"] == str(tmp_path / "3/judged/reward.py")


def test_the_table_pairs_by_seed(script, tmp_path):
    def run(arm, seed, rate):
        folder = tmp_path / f"{arm}-{seed}"
        folder.mkdir()
        rows = [{"turns": 10.0, "success": rate + 0.1 * seed}] * 10
        (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return script.Run("long", arm, 0.0, seed, folder)

    sparse, dense = ([run(arm, seed, rate) for seed in range(3)] for arm, rate in (("rlvf", 0.0), ("card", 0.5)))
    judged = [script.Judged(["furthest"], ["bad_constant"], "furthest", 0.1)] * 3
    lines = script.table(sparse, dense, judged).splitlines()
    assert lines[0] == "3.2 thousand environment steps; 25% over 5 steps of training."
    assert "| 0 | 0.100 | furthest | bad_constant | furthest | 0.250 | 0.000 | 0.500 | never | 1.6 |" in lines
    assert lines[-1] == "| card - rlvf | +0.500 (+0.500 to +0.500) | +0.500 (+0.500 to +0.500) | 3 of 3 |"
