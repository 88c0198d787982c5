"""A thousand episodes leave what there was before: no process, descriptor, file or folder."""

import os
import tempfile
from pathlib import Path

import pytest

from agenttrain.env.code import Code
from agenttrain.errors import UserError
from agenttrain.policy.scripted import Scripted, call
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.sandbox.interpreter import Interpreter
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.task.code import Code as CodeTasks

RUNS = [
    "x = 1\nopen('file', 'w').write('a' * 1000)",
    "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()",
    "import subprocess\nsubprocess.Popen(['sleep', '60'], start_new_session=True)",
    "import os\nos.kill(os.getpid(), 9)",
    "exit(1)",
]


class Careless(Scripted):
    """Leaves things behind, and sometimes a submission that fails."""

    def act(self, conversation):
        kind = (conversation.seed + conversation.turn) % (len(RUNS) + 1)
        if kind == len(RUNS):
            return call(conversation, "submit", code="import os; os._exit(0)")
        return call(conversation, "python", code=RUNS[kind])


@pytest.mark.slow
@pytest.mark.parametrize("walls", ["bubblewrap", "landlock"])
def test_a_thousand_episodes_leave_nothing(walls, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    env = Code(walls=walls)
    try:
        zygote = env.sandbox.start_now().process.pid
    except UserError as error:
        pytest.skip(f"{walls} does not hold here: {error}")
    before = left(zygote, tmp_path)
    owed = attempts(CodeTasks("all", n=100), per_task=10)
    ended = list(rollout(owed, env, Careless(), Limits(concurrency=64, max_turns=3)))
    assert len(ended) == 1000
    assert {episode.stop for episode in ended} <= {"done", "max_turns"}
    assert left(zygote, tmp_path) == before
    env.sandbox.close()
    assert not Path(f"/proc/{zygote}").exists()
    assert not list(tmp_path.iterdir())


def test_folders_of_a_zygote_that_was_killed_are_removed_by_the_next(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    boxes = [Sandbox("landlock") for _ in range(3)]
    try:
        zygotes = [boxes[0].start_now(), boxes[1].start_now()]
    except UserError as error:
        pytest.skip(f"landlock does not hold here: {error}")
    Interpreter(boxes[0]).run("open('file', 'w').write('a')", 10)
    zygotes[0].process.kill()
    zygotes[0].process.wait()
    for folder in tmp_path.iterdir():
        os.utime(folder, (0, 0))
    assert len(list(tmp_path.iterdir())) == 2
    boxes[2].start_now()
    assert len(list(tmp_path.iterdir())) == 2  # that of the one that lives, and its own
    for box in boxes:
        box.close()
    assert not list(tmp_path.iterdir())


def left(zygote, folder):
    """Descriptors of ours, processes of the zygote's, files of episodes."""
    children = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                children += (entry / "stat").read_text().rpartition(")")[2].split()[3] == str(zygote)  # its session
            except OSError:
                continue
    return len(os.listdir("/proc/self/fd")), children, list(folder.glob("*/*"))
