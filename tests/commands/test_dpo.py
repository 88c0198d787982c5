import json

import pytest
import torch
from typer.testing import CliRunner

from agenttrain import cli, seen, store
from agenttrain.commands.dpo import dpo
from agenttrain.commands.label import questions
from agenttrain.data.trajectories import as_example
from agenttrain.errors import UserError
from agenttrain.labels import Labels, Question
from agenttrain.model.pretrained import Pretrained
from agenttrain.model.tiny import Tiny
from agenttrain.trainer.dpo import Dpo
from agenttrain.trainer.reward_model import RewardModel
from agenttrain.trainer.tokens import IGNORED, label_example
from agenttrain.types import Action, Observation, Task, Trajectory, Turn

SMALL = Tiny(layers=1, hidden=32, heads=2, kv_heads=1, head_dim=16, intermediate=32)
ALGO = {"epochs": 3, "learning_rate": 3e-3, "batch_size": 4}


def episode(task: int, attempt: int) -> Trajectory:
    """Who says yes in the end succeeds, at every task."""
    right = attempt % 2 == 0
    turns = [
        Turn(Action({"role": "assistant", "content": "well"}), Observation([{"role": "user", "content": "go on"}])),
        Turn(
            Action({"role": "assistant", "content": "yes" if right else "no"}),
            Observation([], feedback={"success": right}),
        ),
    ]
    opening = [{"role": "user", "content": f"task {task}"}]
    return Trajectory(Task(f"t{task}", opening), turns, "done", messages=opening, attempt=attempt)


@pytest.fixture
def stored(tmp_path):
    for task in range(5):
        for attempt in range(4):
            store.append(tmp_path / "run/trajectories.jsonl", episode(task, attempt))
    return tmp_path / "run"


def test_it_leaves_a_model_that_prefers_what_succeeded_and_tells_so(stored, tmp_path, capsys):
    out = tmp_path / "out"
    dpo(SMALL, Dpo(**ALGO), str(stored), out, pairs=2, heldout=0.2)
    figures = json.loads((out / "figures.json").read_text())
    assert (figures["training_pairs"]["pairs"], figures["heldout_pairs"]["pairs"]) == (8, 2)
    assert figures["heldout_pairs"]["told_apart"]["value"] == 1.0
    assert figures["heldout_pairs"]["margin"] > 0.5
    report = (out / "report.md").read_text()
    assert "| pairs | 10, of 5 tasks (held out: 2) |" in report
    assert "held-out pairs told apart" in report
    assert Pretrained(path=str(out / "model")).load().model
    known = seen.read(str(out / "model"))
    assert len(known) == 4, "the tasks that trained, without the held-out one"
    assert (out / "metrics.jsonl").read_text().count("rewards/margins")


def test_what_a_person_preferred_counts_in_place_of_the_outcome(stored, tmp_path):
    labels = Labels(tmp_path / "labels.jsonl")
    for question in questions(list(store.read(stored / "trajectories.jsonl")), "pairs", 4, True, 0):
        first, _ = question.shown
        labels.write(question, "second" if first.success else "first")
    out = tmp_path / "out"
    dpo(SMALL, Dpo(**ALGO), [str(stored)], out, labels=str(labels.path), heldout=0.0)
    figures = json.loads((out / "figures.json").read_text())
    assert "heldout_pairs" not in figures
    trained = Pretrained(path=str(out / "model")).load()
    assert likelier(trained, "no") > likelier(SMALL.load(), "no") + 1.0


def likelier(loaded, said):
    """How much likelier than the other answer one is, after the opening and a first turn, in nats per token."""
    found = {}
    for attempt, answer in enumerate(("yes", "no")):
        tokens = label_example(as_example(episode(0, attempt), "", [False, True], False), loaded.chat)
        ids = torch.tensor(tokens.ids)
        with torch.no_grad():
            logs = loaded.model(ids[None]).logits[0, :-1].log_softmax(-1).gather(-1, ids[1:, None])[:, 0]
        found[answer] = float(logs[[label != IGNORED for label in tokens.labels[1:]]].mean())
    return found[said] - found["no" if said == "yes" else "yes"]


def test_without_pairs_it_says_what_to_do(tmp_path):
    store.append(tmp_path / "trajectories.jsonl", episode(0, 0))
    with pytest.raises(UserError, match="attempts=4"):
        dpo(SMALL, Dpo(), str(tmp_path), tmp_path / "out")
    labels = Labels(tmp_path / "labels.jsonl")
    labels.write(Question("pairs", (episode(7, 0), episode(7, 1))), "first")
    with pytest.raises(UserError, match="`agenttrain label` asks for answers about these"):
        dpo(SMALL, Dpo(), str(tmp_path), tmp_path / "out", labels=str(labels.path))


def test_another_algorithm_is_the_users_fault(stored, tmp_path):
    with pytest.raises(UserError, match="take algo=dpo"):
        dpo(SMALL, RewardModel(), str(stored), tmp_path / "out")  # pyright: ignore[reportArgumentType]


def test_it_runs_from_the_command_line_and_its_model_acts(stored, tmp_path):
    SMALL.load().save(tmp_path / "base")
    words = [f"path={stored}", f"model.path={tmp_path / 'base'}", f"out={tmp_path / 'out'}", "algo.learning_rate=1e-3"]
    result = CliRunner().invoke(cli.app, ["dpo", *words, "model.lora.r=4", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])["figures"]["training_pairs"]["pairs"] > 0
    again = CliRunner().invoke(cli.app, ["dpo", *words])
    assert again.exit_code == 2
    assert "resume=true" in again.output
