import json

import pytest

from agenttrain import store
from agenttrain.report import page, run
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def call(name, **arguments):
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]}


@pytest.fixture
def episode():
    """Builds an episode of training: one turn for each of `rewards`, whose advantages may be given."""

    def build(task="t", attempt=0, rewards=(0.0, 1.0), advantages=None, step=0, said="in c1", stop="done", **fields):
        turns = [
            Turn(
                Action(call("go", to=said), [10, 11], [20, 21], [-0.5, -0.25], [0.5, 0.1]),
                Observation([{"role": "tool", "name": "go", "content": said}], state=f"s{number}"),
                {"policy": 0.5, "env": 2.0},
            )
            for number in range(len(rewards))
        ]
        if turns:
            turns[-1].observation.feedback["success"] = sum(rewards) > 0
        if stop in ("env_error", "infra_error"):
            turns = []
        meta = {"policy": {"name": "nowhere"}, "step": step, "advantages": advantages or [0.5] * len(turns)}
        opening = [{"role": "system", "content": "Walk."}, {"role": "user", "content": said}]
        scores = {"outcome": list(rewards)[: len(turns)]}
        return Trajectory(Task(task, opening), turns, stop, opening, [], scores, {}, attempt, meta=meta, **fields)

    return build


@pytest.fixture
def folder(tmp_path, episode):
    """A run of three steps, two groups of two attempts each, one of them without signal."""
    path = tmp_path / "run"
    with store.Writer(path / "trajectories.jsonl") as writer:
        for step in range(3):
            for attempt, reward in enumerate((0.0, 1.0)):
                writer.write(episode("apart", attempt, (0.0, reward), [reward - 0.5] * 2, step))
            for attempt in range(2):
                writer.write(episode("alike", attempt, (0.0, 0.0), [0.0, 0.0], step))
    rows = [{"time": 1.0, "step": step, "success": step / 8, "reward/outcome": 0.5} for step in (1, 2, 3)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path / "config.yaml").write_text(
        "_target_: agenttrain.commands.rl.rl\nseed: 7\ncredit:\n  _target_: agenttrain.credit.gigpo.Gigpo\n"
        "reward:\n  rlvf:\n    _target_: agenttrain.reward.rlvf.Rlvf\n"
    )
    return path


@pytest.fixture
def html():
    """Folders -> the page."""

    def build(*folders, most=100):
        return page.html(page.content([run.read(path, path.name, most) for path in folders]))

    return build
