import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from agenttrain import cli, store
from agenttrain.commands.label import questions
from agenttrain.commands.reward_model import ranked_right, reward_model
from agenttrain.errors import UserError
from agenttrain.labels import Labels
from agenttrain.model.lora import Lora
from agenttrain.model.scorer import read
from agenttrain.model.tiny import Tiny
from agenttrain.preferences import Pair
from agenttrain.reward.learned import Learned
from agenttrain.reward.prm import Prm
from agenttrain.trainer.reward_model import RewardModel
from agenttrain.types import Action, Observation, Task, Trajectory, Turn

SMALL = Tiny(layers=1, hidden=32, heads=2, kv_heads=1, head_dim=16, intermediate=32)
ALGO = {"epochs": 8, "learning_rate": 1e-2, "batch_size": 4}


def episode(task: int, attempt: int) -> Trajectory:
    """Who says yes in the end succeeds, at every task."""
    right = attempt % 2 == 0
    said = ["well", "yes" if right else "no"]
    turns = [Turn(Action({"role": "assistant", "content": text}), Observation([])) for text in said]
    for turn in turns[:-1]:
        turn.observation.messages = [{"role": "user", "content": "go on"}]
    turns[-1].observation.feedback = {"success": right}
    opening = [{"role": "user", "content": f"task {task}"}]
    return Trajectory(Task(f"t{task}", opening), turns, "done", messages=opening, attempt=attempt)


@pytest.fixture
def stored(tmp_path):
    for task in range(8):
        for attempt in range(4):
            store.append(tmp_path / "run/trajectories.jsonl", episode(task, attempt))
    return tmp_path / "run"


@pytest.mark.parametrize("objective", ["pairs", "outcomes"])
def test_it_learns_to_rank_tasks_that_it_never_saw(stored, tmp_path, objective):
    out = tmp_path / "out"
    reward_model(SMALL, RewardModel(objective=objective, **ALGO), str(stored), out, pairs=3, heldout=0.25)
    figures = json.loads((out / "figures.json").read_text())
    assert figures["held_out_pairs"]["value"] == 1.0 > figures["held_out_pairs"]["low"]
    good, bad = read(str(out / "model")).score([episode(99, 0), episode(99, 1)])
    assert good[-1] > bad[-1]
    if objective == "outcomes":  # a logit of success, not only an order
        assert good[-1] > 0 > bad[-1]
    report = (out / "report.md").read_text()
    assert "| pairs | 24 (held out: 6, of 2 tasks) |" in report
    assert "| trained on | 18 pairs |" in report or "| trained on | 24 episodes |" in report


def test_without_a_task_that_was_won_and_lost_it_says_what_to_do(tmp_path):
    store.append(tmp_path / "trajectories.jsonl", episode(0, 0))
    with pytest.raises(UserError, match="attempts=4"):
        reward_model(SMALL, RewardModel(), str(tmp_path), tmp_path / "out")


def test_what_is_too_long_is_left_out_and_counted(stored, tmp_path):
    long = episode(0, 1)
    long.turns[0].action.message = {"role": "assistant", "content": "well " * 200}
    store.append(stored / "trajectories.jsonl", long)
    algo = RewardModel(objective="outcomes", max_length=100, batch_size=40)
    reward_model(SMALL, algo, [str(stored)], tmp_path / "out", heldout=0.0)
    assert "| left out, too long | 1 |" in (tmp_path / "out/report.md").read_text()
    with pytest.raises(UserError, match=r"fits into algo\.max_length=5 tokens"):
        reward_model(SMALL, RewardModel(max_length=5), [str(stored)], tmp_path / "other")


@pytest.mark.parametrize("objective", ["outcomes", "turns"])
def test_an_adapter_learns_as_well_and_rewards_read_it(stored, tmp_path, objective):
    out, algo = tmp_path / "out", RewardModel(objective=objective, **ALGO | {"epochs": 16, "learning_rate": 3e-2})
    marks = (
        answered(stored, "turns", lambda q: "good" if q.shown[0].success else "bad") if objective == "turns" else None
    )
    reward_model(replace(SMALL, lora=Lora(r=4)), algo, str(stored), out, labels=marks, heldout=0.25)
    assert json.loads((out / "figures.json").read_text())["held_out_pairs"]["value"] == 1.0
    assert (out / "model/adapter_config.json").is_file()
    assert not (out / "model/model.safetensors").exists()
    assert "An adapter for `tiny-0`" in (out / "model/README.md").read_text()
    reward = Learned(str(out / "model")) if objective == "outcomes" else Prm(str(out / "model"), form="absolute")
    reward.prepare()
    assert reward(episode(99, 0))[-1] > 0.5 > reward(episode(99, 1))[-1]


def test_a_killed_run_goes_on_from_the_command_line_and_says_from_where(stored, tmp_path):
    SMALL.load().save(tmp_path / "base")
    words = ["reward-model", f"path={stored}", f"model.path={tmp_path / 'base'}", f"out={tmp_path / 'out'}"]
    assert CliRunner().invoke(cli.app, [*words, "algo.epochs=2", "algo.save_steps=2"]).exit_code == 0
    refused = CliRunner().invoke(cli.app, words)
    assert refused.exit_code == 2
    assert "resume=true" in refused.output
    (tmp_path / "out/checkpoints/checkpoint-6/optimizer.pt").unlink()
    again = CliRunner().invoke(cli.app, [*words, "algo.epochs=2", "algo.save_steps=2", "resume=true"])
    assert again.exit_code == 0, again.output
    report = (tmp_path / "out/report.md").read_text()
    assert "checkpoint-6: optimizer.pt is missing" in report
    assert "checkpoint-4." in report.partition("Going on from")[2]


def answered(stored, ask, answer):
    """A person who is asked everything."""
    labels = Labels(stored / "labels.jsonl")
    for question in questions(list(store.read(stored / "trajectories.jsonl")), ask, 9, False, 0):
        labels.write(question, answer(question))
    return str(labels.path)


def test_it_learns_what_people_prefer_though_every_outcome_is_the_same(tmp_path):
    for task in range(8):
        for attempt in range(4):
            some = episode(task, attempt)
            some.turns[-1].observation.feedback = {"success": False}
            store.append(tmp_path / "trajectories.jsonl", some)
    with pytest.raises(UserError, match="No task has a success and a failure"):
        reward_model(SMALL, RewardModel(**ALGO), str(tmp_path), tmp_path / "out")

    def politer(question):
        first, second = (t.turns[-1].action.message["content"] == "yes" for t in question.shown)
        return "equal" if first == second else "first" if first else "second"

    labels = answered(tmp_path, "pairs", politer)
    reward_model(SMALL, RewardModel(**ALGO), str(tmp_path), tmp_path / "out", labels=labels, heldout=0.25)
    good, bad = read(str(tmp_path / "out" / "model")).score([episode(99, 0), episode(99, 1)])
    assert good[-1] > bad[-1]
    assert json.loads((tmp_path / "out/figures.json").read_text())["held_out_pairs"]["value"] == 1.0


def test_marks_of_turns_train_a_process_reward_model(stored, tmp_path):
    def mark(question):
        return "good" if question.shown[0].turns[-1].action.message["content"] == "yes" else "bad"

    labels = answered(stored, "turns", mark)
    algo = RewardModel(objective="turns", **ALGO)
    reward_model(SMALL, algo, str(stored), tmp_path / "out", labels=labels, heldout=0.25)
    turns = json.loads((tmp_path / "out/figures.json").read_text())["held_out_turns"]
    assert turns["turns"] == 2 * 4 * 2
    assert turns["squared_error"] < turns["of_their_mean"]
    with pytest.raises(UserError, match=r"No task has a preference in labels=.*answers: 64, in 1 file"):
        reward_model(SMALL, RewardModel(**ALGO), str(stored), tmp_path / "pairs", labels=labels)


@pytest.mark.parametrize(
    ("objective", "given", "message"),
    [
        ("outcomes", {"labels": "l"}, "learns from outcomes alone"),
        ("turns", {"labels": "l", "values": "v"}, "give one of them"),
        ("turns", {}, "set both"),
        ("pairs", {"values": "v"}, "set both"),
        ("pairs", {"labels": "nothing.jsonl"}, "there is no file"),
    ],
)
def test_labels_that_do_not_fit_are_refused(stored, tmp_path, objective, given, message):
    paths = {name: str(tmp_path / value) for name, value in given.items()}
    with pytest.raises(UserError, match=message):
        reward_model(SMALL, RewardModel(objective=objective), str(stored), tmp_path / "out", **paths)


def test_several_processes_are_refused(stored, tmp_path, monkeypatch):
    """Each would train a model of its own and write it over the other's."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="without torchrun"):
        reward_model(SMALL, RewardModel(), str(stored), tmp_path / "out")


def test_held_out_episodes_beyond_the_context_are_counted_and_not_measured(stored, tmp_path):
    for task in range(8):
        long = episode(task, 1)
        long.turns[0].action.message = {"role": "assistant", "content": "well " * 9000}
        store.append(stored / "trajectories.jsonl", long)
    out = tmp_path / "out"
    reward_model(SMALL, RewardModel(objective="outcomes", **ALGO), str(stored), out, heldout=0.25)
    report = (out / "report.md").read_text()
    assert "| beyond the model's context, measured nowhere | 8 episodes |" in report
    assert json.loads((out / "figures.json").read_text())["held_out_pairs"]["value"] == 1.0


class Constant:
    def score(self, trajectories):
        return [[0.0, 1.0]] * len(trajectories)


def test_an_equal_score_ranks_half_of_a_pair_right():
    rate = ranked_right(Constant(), [Pair(episode(n, 0), episode(n, 1)) for n in range(4)])
    assert rate is not None
    assert rate.value == 0.5
    assert ranked_right(Constant(), []) is None
