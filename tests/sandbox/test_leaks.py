"""A thousand episodes leave what there was before: no process, descriptor, file or folder."""

import os
import tempfile
from pathlib import Path

import pytest

from agenttrain.env.code import Code
from agenttrain.errors import UserError
from agenttrain.policy.scripted import Scripted, call
from agenttrain.rollout import Limits, attempts, rollout
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
def test_a_thousand_episodes_leave_nothing(walls):
    env = Code(walls=walls)
    try:
        zygote = env.sandbox.start_now().process.pid
    except UserError as error:
        pytest.skip(f"{walls} does not hold here: {error}")
    before = left(zygote)
    owed = attempts(CodeTasks("all", n=100), per_task=10)
    ended = list(rollout(owed, env, Careless(), Limits(concurrency=64, max_turns=3)))
    assert len(ended) == 1000
    assert {episode.stop for episode in ended} <= {"done", "max_turns"}
    assert left(zygote) == before
    env.sandbox.close()
    assert not Path(f"/proc/{zygote}").exists()
    assert not list(Path(tempfile.gettempdir()).glob("agenttrain-sandbox-*"))


def left(zygote):
    """Descriptors of ours, processes of the zygote's, files of episodes."""
    children = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                children += (entry / "stat").read_text().rpartition(")")[2].split()[3] == str(zygote)  # its session
            except OSError:
                continue
    folders = list(Path(tempfile.gettempdir()).glob("agenttrain-sandbox-*/*"))
    return len(os.listdir("/proc/self/fd")), children, folders
