import errno
import re
from collections import Counter
from dataclasses import replace

import pytest

from agenttrain import store
from agenttrain.commands.generate_trajectories import generate_trajectories
from agenttrain.env.craft import Craft
from agenttrain.errors import UserError
from agenttrain.model.tiny import Tiny
from agenttrain.policy.craft_expert import CraftExpert
from agenttrain.policy.local import Local
from agenttrain.rollout import Limits
from agenttrain.task.craft import Craft as Tasks
from agenttrain.types import InfraError


def generate(out, task=None, policy=None, **changed):
    settings = {
        "task": task or Tasks(n=4),
        "env": Craft(),
        "policy": policy or CraftExpert(),
        "model": None,
        "rollout": Limits(retries=0),
        "attempts": 2,
    }
    generate_trajectories(**settings | changed, out=out)
    return list(store.read(out / "trajectories.jsonl"))


class Failing(CraftExpert):
    """An expert whose server is down for some conversations, and who may be interrupted."""

    def __init__(self, fails=lambda conversation: True, error=None):
        super().__init__()
        self._fails, self._error = fails, error or InfraError("server is down")

    def act(self, conversation):
        if self._fails(conversation):
            raise self._error
        return super().act(conversation)


def after(episodes):
    """Fails once so many episodes have begun."""
    begun = set()

    def fails(conversation):
        begun.add(conversation.id)
        return len(begun) > episodes

    return fails


def keys(trajectories):
    return sorted((t.task.id, t.attempt) for t in trajectories)


def test_every_attempt_is_written_and_summed_up(tmp_path, capsys):
    trajectories = generate(tmp_path / "run")
    assert keys(trajectories) == sorted((task.id, attempt) for task in Tasks(n=4) for attempt in (0, 1))
    assert all(t.success for t in trajectories)
    mean = sum(len(t.turns) for t in trajectories) / 8
    shown, report = capsys.readouterr().out, (tmp_path / "run/report.md").read_text()
    for name, figure in {"success": "100.0 %", "turns per episode": f"{mean:.1f}", "stops": "done 8"}.items():
        assert re.search(rf"{name}.* {re.escape(figure)}", shown)
        assert re.search(rf"{name}.* {re.escape(figure)}", report)
    assert str(tmp_path / "run/trajectories.jsonl") in shown
    assert "CraftExpert (error 0.0) in craft: 4 tasks, 2 attempts each." in report


def test_equal_seeds_give_equal_episodes(tmp_path):
    def episodes(name, seed):
        played = generate(tmp_path / name, policy=CraftExpert(error=0.5), seed=seed)
        return {(t.task.id, t.attempt): t.conversation() for t in played}

    first = episodes("first", 0)
    assert first == episodes("second", 0)
    assert first != episodes("third", 1)


def test_what_an_interrupted_run_wrote_is_kept_and_the_rest_is_played_on_resume(tmp_path, capsys):
    one_by_one = Limits(concurrency=1)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, policy=Failing(after(3), KeyboardInterrupt()), rollout=one_by_one)
    before = list(store.read(tmp_path / "trajectories.jsonl"))
    assert len(before) == 3
    assert "resume=true plays the rest" in capsys.readouterr().err
    trajectories = generate(tmp_path, resume=True)
    assert trajectories[:3] == before
    assert Counter(keys(trajectories)) == Counter((task.id, attempt) for task in Tasks(n=4) for attempt in (0, 1))
    assert generate(tmp_path, resume=True) == trajectories  # nothing was owed


def test_an_episode_that_failed_around_the_agent_is_owed_and_not_held_against_it(tmp_path, capsys):
    generate(tmp_path, policy=Failing(lambda conversation: conversation.id.endswith("#1")))
    shown = capsys.readouterr().out
    assert re.search("success.* 100.0 %", shown)
    assert "done 4, infra_error 4" in shown
    assert "4 of 8 episodes failed through no fault of the agent" in shown
    assert "server is down" in (tmp_path / "report.md").read_text()
    trajectories = generate(tmp_path, resume=True)
    assert len(trajectories) == 12  # the failures stay on disk
    assert "done 8\n" in capsys.readouterr().out


def test_a_run_of_nothing_but_failures_ends_with_code_1_and_the_first_error(tmp_path):
    with pytest.raises(SystemExit) as end:
        generate(tmp_path, policy=Failing())
    assert "server is down" in end.value.code  # a text: Python prints it and exits with 1
    assert len(list(store.read(tmp_path / "trajectories.jsonl"))) == 8


def test_another_run_is_not_continued_in_the_same_file(tmp_path):
    before = generate(tmp_path)
    for changed in ({"seed": 1}, {"task": [replace(task, messages=task.messages[1:]) for task in Tasks(n=4)]}):
        with pytest.raises(UserError, match="cannot resume"):
            generate(tmp_path, resume=True, **changed)
    with pytest.raises(UserError, match="exists"):
        generate(tmp_path)
    assert list(store.read(tmp_path / "trajectories.jsonl")) == before


def test_a_run_that_cannot_begin_leaves_nothing_and_one_that_must_stop_says_how_to_go_on(tmp_path, capsys):
    refused, one_by_one = UserError("the key was refused"), Limits(concurrency=1)
    with pytest.raises(UserError):
        generate(tmp_path, policy=Failing(error=refused))
    assert not list(tmp_path.iterdir())
    assert "resume=true" not in capsys.readouterr().err
    with pytest.raises(UserError):
        generate(tmp_path, policy=Failing(after(2), refused), rollout=one_by_one)
    assert "resume=true plays the rest" in capsys.readouterr().err


def test_an_empty_task_set_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match="nothing to play"):
        generate(tmp_path / "run", task=Tasks(n=0))
    assert not (tmp_path / "run").exists()


def test_a_full_disk_tells_how_to_go_on(tmp_path, capsys, monkeypatch):
    write, written = store.Writer.write, []

    def fill(self, trajectory):
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(write(self, trajectory))

    monkeypatch.setattr(store.Writer, "write", fill)
    with pytest.raises(OSError, match="No space left"):
        generate(tmp_path)
    assert "resume=true plays the rest" in capsys.readouterr().err
    monkeypatch.undo()
    assert len(generate(tmp_path, resume=True)) == 8


def test_a_local_policy_acts_with_the_model_that_the_command_loads(tmp_path):
    model = Tiny(layers=1, hidden=32, heads=2, kv_heads=1, head_dim=16, intermediate=32)
    trajectories = generate(
        tmp_path, policy=Local(), model=model, task=Tasks(n=2), attempts=1, rollout=Limits(max_turns=2, max_tokens=4)
    )
    assert len(trajectories) == 2
    assert all(1 <= len(turn.action.token_ids) <= 4 for t in trajectories for turn in t.turns)
    assert trajectories[0].meta["policy"]["name"] == "tiny-0"
