import json

import pytest
from typer.testing import CliRunner

from agenttrain import cli, store
from agenttrain.combine import Terms
from agenttrain.commands.rescore import rescore
from agenttrain.errors import UserError
from agenttrain.reward.rlvf import Rlvf
from agenttrain.reward.steps import Steps
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def episode(number: int, success: bool, scores: dict | None = None) -> Trajectory:
    facts = [{}, {"success": success}]
    turns = [Turn(Action({"role": "assistant", "content": "x"}), Observation([], feedback=f)) for f in facts]
    scores = {"rlvf": [0.0, 0.5 * success]} if scores is None else scores
    task = Task(f"t{number}", [{"role": "user", "content": "go"}])
    return Trajectory(task, turns, "done", scores=scores, weights=dict.fromkeys(scores, 1.0), meta={"step": 0})


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "run" / "trajectories.jsonl"
    for number in range(4):
        store.append(path, episode(number, success=number % 2 == 0))
    return path


def test_every_line_is_scored_again_beside_what_it_had(stored, tmp_path, capsys):
    before = stored.read_bytes()
    rescore(stored.parent, {"rlvf": Rlvf(), "steps": Steps(cost=0.25)}, Terms(), tmp_path / "new")
    again = list(store.read(tmp_path / "new" / "trajectories.jsonl"))
    assert [t.task.id for t in again] == ["t0", "t1", "t2", "t3"]
    assert again[0].scores == {"rlvf": [0.0, 1.0], "steps": [-0.25, -0.25]}
    assert again[0].meta["stored"] == {"scores": {"rlvf": [0.0, 0.5]}, "weights": {"rlvf": 1.0}}
    assert stored.read_bytes() == before
    figures = json.loads((tmp_path / "new" / "figures.json").read_text())
    assert figures["terms"]["rlvf"] == {"stored": 0.25, "now": 0.5, "change": 0.25, "changed": 2, "of": 4}
    assert figures["terms"]["steps"]["stored"] is None
    assert figures["terms"]["sum, weighted"]["change"] == pytest.approx(-0.25)
    assert "| rlvf | 0.2500 | 0.5000 | +0.2500 | 2 of 4 |" in (tmp_path / "new" / "report.md").read_text()
    assert "4 trajectories of" in capsys.readouterr().out


def test_the_best_of_several_attempts_is_what_the_reward_would_choose(tmp_path, capsys):
    path = tmp_path / "trajectories.jsonl"
    for attempt in range(4):
        trajectory = episode(0, success=attempt == 1)
        trajectory.turns = trajectory.turns * (1 if attempt == 1 else 2)  # who succeeds is short, and costs less
        trajectory.attempt = attempt
        store.append(path, trajectory)
    rescore(path, {"steps": Steps(cost=0.25)}, Terms(), tmp_path / "new")
    found = json.loads((tmp_path / "new" / "figures.json").read_text())["best_of"]
    assert {k: (row["chosen"]["value"], row["any"]["value"]) for k, row in found.items()} == {
        "1": (0.25, 0.25),
        "2": (0.5, 0.5),
        "4": (1.0, 1.0),
    }
    assert "Best of 4 by this reward: 100.0 %" in capsys.readouterr().out


def test_a_run_that_was_killed_goes_on_after_its_last_whole_line(stored, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    rescore(stored, {"rlvf": Rlvf()}, Terms(), whole)
    lines = (whole / "trajectories.jsonl").read_bytes().splitlines(keepends=True)
    killed.mkdir()
    (killed / "trajectories.jsonl").write_bytes(b"".join(lines[:2]) + lines[2][:40])
    rescore(stored, {"rlvf": Rlvf()}, Terms(), killed, resume=True)
    assert (killed / "trajectories.jsonl").read_bytes() == (whole / "trajectories.jsonl").read_bytes()
    with pytest.raises(UserError, match=r"has scores by rlvf, not by reward=\."):
        rescore(stored, {"steps": Steps()}, Terms(), whole, resume=True)
    store.append(other := tmp_path / "other.jsonl", episode(9, success=True))
    with pytest.raises(UserError, match=r"line 1 of .* is another episode"):
        rescore(other, {"rlvf": Rlvf()}, Terms(), whole, resume=True)


def test_the_file_itself_is_never_the_target(stored):
    before = stored.read_bytes()
    with pytest.raises(UserError, match="choose another folder"):
        rescore(stored, {"rlvf": Rlvf()}, Terms(), stored.parent, resume=True)
    assert stored.read_bytes() == before


def test_an_episode_that_a_reward_failed_in_training_gets_its_score_now(tmp_path):
    failed = episode(0, success=True, scores={})
    failed.stop, failed.error, failed.meta["played"] = "reward_error", "x", {"stop": "done", "error": None}
    store.append(tmp_path / "a.jsonl", failed)
    rescore(tmp_path / "a.jsonl", {"rlvf": Rlvf()}, Terms(), tmp_path / "new")
    [again] = store.read(tmp_path / "new" / "trajectories.jsonl")
    assert (again.stop, again.error, again.scores) == ("done", None, {"rlvf": [0.0, 1.0]})


def test_from_the_command_line_with_a_veto(tmp_path):
    call = {"id": "c", "type": "function", "function": {"name": "delete", "arguments": {}}}
    unsafe = episode(0, success=True)
    unsafe.turns[0].action.message["tool_calls"] = [call]
    store.append(tmp_path / "a.jsonl", unsafe)
    words = ["rescore", f"path={tmp_path}/a.jsonl", "reward=[rlvf,safety]", "combine.veto=[safety]", "combine.floor=-1"]
    done = CliRunner().invoke(cli.app, [*words, f"out={tmp_path}/new"])
    assert done.exit_code == 0, done.output
    assert "Principle 'confirm' is broken in 1 of them." in done.output
    [again] = store.read(tmp_path / "new" / "trajectories.jsonl")
    assert again.turn_rewards == [-1.0, 0.0]
    assert CliRunner().invoke(cli.app, [*words, f"out={tmp_path}/new"]).exit_code == 2, "nothing is overwritten"
    missing = CliRunner().invoke(cli.app, ["rescore", f"path={tmp_path}/none.jsonl", f"out={tmp_path}/newer"])
    assert (missing.exit_code, (tmp_path / "newer").exists()) == (2, False)
