"""`agenttrain rl`, from tasks to a model folder and a report; the training itself is tested in tests/trainer."""

import json
import shutil
import time

import pytest

from agenttrain import seen, store
from agenttrain.combine import Terms
from agenttrain.commands.rl import course, facts, rl
from agenttrain.credit.gigpo import Gigpo
from agenttrain.env.craft import Craft
from agenttrain.errors import UserError
from agenttrain.model.lora import Lora
from agenttrain.model.pretrained import Pretrained
from agenttrain.model.tiny import Tiny
from agenttrain.policy.craft_expert import CraftExpert
from agenttrain.policy.local import Local
from agenttrain.reward.format import Format
from agenttrain.reward.rlvf import Rlvf
from agenttrain.rollout import Limits
from agenttrain.task.craft import Craft as Tasks
from agenttrain.trainer.grpo import Curves, Grpo

ALGO = {"steps": 2, "tasks_per_step": 2, "group_size": 2, "batch_size": 4, "learning_rate": 1e-3, "save_steps": 1}


def run(out, lora=0, **changed):
    shape = {"layers": 1, "hidden": 32, "heads": 2, "kv_heads": 1, "head_dim": 16, "intermediate": 32}
    settings = {
        "model": Tiny(**shape, lora=Lora(r=lora)),
        "task": Tasks(n=4),
        "env": Craft(),
        "policy": Local(slots=4),
        "rollout": Limits(max_turns=2, max_tokens=8),
        "reward": {"rlvf": Rlvf(), "format": Format()},
        "combine": Terms(),
        "credit": Gigpo(),
        "algo": Grpo(**ALGO),
    }
    rl(**settings | changed, out=out)


@pytest.mark.parametrize("lora", [0, 4])
def test_it_leaves_a_model_a_report_figures_and_episodes(tmp_path, capsys, lora):
    run(tmp_path, lora)
    loaded = Pretrained(path=str(tmp_path / "model")).load()
    assert loaded.chat.open([{"role": "user", "content": "x"}], [])
    report = (tmp_path / "report.md").read_text()
    assert "| steps | 2 |" in report
    assert "| episodes | 8 |" in report
    assert report.count("\n| 1 |") == report.count("\n| 2 |") == 1, "the course has a row for each of the two steps"
    assert str(tmp_path / "report.md") in capsys.readouterr().out.replace("\n", "")
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "success" in row] == [1, 2]
    episodes = list(store.read(tmp_path / "trajectories.jsonl"))
    assert [t.meta["step"] for t in episodes] == [0] * 4 + [1] * 4
    assert all(t.scores.keys() == {"rlvf", "format"} for t in episodes)
    assert (tmp_path / "model" / "README.md").exists()


def test_the_model_says_which_tasks_trained_it_before_and_after_a_resume(tmp_path):
    tasks = list(Tasks(n=9))
    run(tmp_path, task=tasks)
    episodes = store.read(tmp_path / "trajectories.jsonl")
    marks = {seen.of_task(t.task) for t in episodes}
    assert seen.read(str(tmp_path / "model")) == marks
    assert len(marks) == 4, "two steps of two tasks, of nine"
    shutil.rmtree(tmp_path / "checkpoints" / "checkpoint-2")
    run(tmp_path, task=tasks, resume=True)
    assert seen.read(str(tmp_path / "model")) == marks


def test_resuming_writes_no_episode_twice(tmp_path):
    run(tmp_path)
    before = (tmp_path / "trajectories.jsonl").read_text()
    shutil.rmtree(tmp_path / "checkpoints" / "checkpoint-2")  # as if killed in the second step
    run(tmp_path, resume=True)
    assert (tmp_path / "trajectories.jsonl").read_text() == before
    assert "Going on from" in (tmp_path / "report.md").read_text()


def test_held_out_tasks_are_measured_between_steps(tmp_path):
    run(tmp_path, heldout=Tasks(n=3, split="heldout"), heldout_every=1, save_trajectories=False)
    played = list(store.read(tmp_path / "heldout.jsonl"))
    assert [t.meta["step"] for t in played] == [0] * 3 + [1] * 3 + [2] * 3
    assert not any(t.scores for t in played), "no reward is asked"
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "heldout_success" in row] == [0, 1, 2]
    assert all(row["heldout_seconds"] > 0 for row in rows if "success" in row)
    assert all(row["train_seconds"] > 0 for row in rows if "success" in row)
    report = (tmp_path / "report.md").read_text()
    assert "| held-out success, before and after | 0.000 and 0.000 |" in report
    assert "| after steps | success |\n|---|---|\n| 0 | 0.000 |\n| 1 | 0.000 |\n| 2 | 0.000 |" in report


def test_held_out_tasks_that_are_trained_on_are_refused_before_the_model_is_loaded(tmp_path):
    with pytest.raises(UserError, match="4 of 4 held-out tasks are trained on"):
        run(tmp_path, model=Unloadable(), heldout=Tasks(n=4), heldout_every=1)
    assert not list(tmp_path.iterdir())


class Judge:
    """Takes a fifth of a second."""

    weight = 1.0

    def __call__(self, trajectory):
        time.sleep(0.2)
        return [0.0] * len(trajectory.turns)


def test_a_reward_has_as_long_as_the_limits_say(tmp_path):
    limits = Limits(max_turns=1, max_tokens=8, reward_timeout=0.01)
    with pytest.raises(UserError, match=r"None of the 4 episodes .* reward 'judge' took longer than 0\.01 s"):
        run(tmp_path, reward={"judge": Judge()}, rollout=limits)


class FewestWords:
    """The fewer letters an attempt has beside the others of its group, the better."""

    weight = 1.0

    def __call__(self, trajectory):
        raise AssertionError("it only compares")

    def compare(self, group):
        assert len({t.task.id for t in group}) == 1
        letters = [sum(len(turn.action.message["content"]) for turn in t.turns) for t in group]
        return [
            [0.0] * (len(t.turns) - 1) + [sum(n < other for other in letters) / (len(group) - 1)]
            for t, n in zip(group, letters, strict=True)
        ]


def test_a_reward_may_compare_the_attempts_of_a_group(tmp_path):
    run(tmp_path, reward={"fewest": FewestWords(), "rlvf": Rlvf()})
    episodes = list(store.read(tmp_path / "trajectories.jsonl"))
    assert all(t.scores.keys() == {"fewest", "rlvf"} for t in episodes)
    assert {sum(t.scores["fewest"]) for t in episodes} == {0.0, 1.0}, "of two attempts one is better"
    assert any(any(t.meta["advantages"]) for t in episodes), "and something is learned from it"


def test_episodes_need_not_be_kept(tmp_path):
    run(tmp_path, save_trajectories=False)
    assert not (tmp_path / "trajectories.jsonl").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"policy": CraftExpert()}, "policy=local"),
        ({"reward": {}}, "No reward has a weight"),
        ({"reward": {"rlvf": Rlvf(weight=0.0)}}, "No reward has a weight"),
        ({"task": Tasks(n=1)}, "there are 1 tasks"),
        ({"algo": Grpo(**ALGO | {"batch_size": 3})}, "batches of 3"),
        ({"algo": Grpo(**ALGO, extra={"detla": 4})}, "Did you mean delta"),
    ],
)
def test_a_fault_is_told_before_the_model_is_loaded_and_leaves_nothing(tmp_path, changed, message):
    with pytest.raises(UserError, match=message):
        run(tmp_path, model=Unloadable(), **changed)
    assert not list(tmp_path.iterdir())


class Unloadable:
    def check(self):
        pass

    def load(self, workdir=None, trainable=False):
        raise AssertionError("the model was loaded")


def row(success: float) -> dict[str, float]:
    return {"success": success, "failed_by_us": 1.0, "rollout_seconds": 2.0, "train_seconds": 3.0}


def test_the_course_is_told_in_tenths():
    table = course([row(step / 20) for step in range(20)]).splitlines()
    assert table[0] == "| steps | success |"
    assert len(table) == 2 + 10
    assert table[2] == "| 1-2 | 0.025 |"
    assert table[-1] == "| 19-20 | 0.925 |"


def test_facts_compare_the_first_with_the_last_tenth():
    known = facts(Curves([row(step / 20) for step in range(20)], episodes=160, seconds=100.0, notes=[]))
    assert known["success, first steps"] == "0.025 (mean of 2)"
    assert known["success, last steps"] == "0.925 (mean of 2)"
    assert known["failed around the agent"] == "20 episodes, masked"
    assert "steps without an episode" not in known
    assert (known["playing"], known["learning"], known["time"]) == ("40 s", "1 min 00 s", "1 min 40 s")


def test_a_step_without_an_episode_is_told_and_enters_no_mean():
    lost = {"success": None, "failed_by_us": 8.0, "lost_step": 1.0, "rollout_seconds": 2.0, "train_seconds": 3.0}
    curves = Curves([row(1.0), lost, row(1.0)], episodes=24, seconds=100.0, notes=[])
    assert facts(curves)["steps without an episode"] == "1, nothing learned from them"
    assert course(curves.steps).splitlines()[3] == "| 2 | nan |"
