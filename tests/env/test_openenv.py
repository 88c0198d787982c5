"""Against our own server, and (slow) with OpenEnv's: its validator, its client, an environment written for it.

OpenEnv brings many requirements, and lives in an environment of its own:
`python -m venv openenv && openenv/bin/pip install openenv==0.10.*`, and OPENENV=openenv/bin tells where.
"""

import json
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from agenttrain.env import openenv
from agenttrain.env.craft import Craft
from agenttrain.env.openenv import Openenv
from agenttrain.errors import UserError
from agenttrain.policy.craft_expert import CraftExpert
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.task.craft import Craft as Goals
from agenttrain.types import Environment, Episode, InfraError, Task

from ..serving import served

TASKS = list(Goals(n=12))


def act(name, **arguments):
    return {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": name, "arguments": arguments}}]}


@pytest.fixture(scope="module")
def url():
    with served("craft", Craft(), TASKS, sessions=16) as url:
        yield url


def remote(url, **settings):
    """The same tasks, of which the client knows no more than their names."""
    tasks = [Task(task.id, [], data={"task": task.id}) for task in TASKS]
    return Openenv(url, **settings), tasks


def test_an_episode_there_goes_as_it_goes_here(url):
    env, tasks = remote(url)
    assert isinstance(env, Environment)
    there = {t.task.id: t for t in rollout(attempts(tasks), env, CraftExpert(), Limits())}
    here = {t.task.id: t for t in rollout(attempts(TASKS), Craft(), CraftExpert(), Limits())}
    assert all(trajectory.success for trajectory in there.values())
    for name, trajectory in here.items():
        other = there[name]
        assert other.messages == trajectory.messages
        assert other.tools == trajectory.tools
        assert [t.observation.reward for t in other.turns] == [t.observation.reward for t in trajectory.turns]
        assert [t.observation.feedback for t in other.turns] == [t.observation.feedback for t in trajectory.turns]


def test_refusals_are_ours_and_nothing_is_sent(url):
    env, tasks = remote(url)
    episode = env.episode(tasks[0], 0)
    assert isinstance(episode, Episode)
    episode.start()
    first = episode.step(act("fly"))
    assert "Unknown tool" in first.feedback["invalid_call"]
    assert episode.step(act("get")).state == first.state
    assert episode.step(act("get", item="x")).state == first.state
    assert episode.step(act("get", item="x")).state != first.state
    episode.close()
    episode.close()


def test_closed_while_it_connects_it_leaves_no_connection(url, monkeypatch):
    env, tasks = remote(url)
    episode = env.episode(tasks[0], 0)
    connected = []

    def connect(settings, connect=openenv._connect):
        episode.close()
        connected.append(connect(settings))
        return connected[0]

    monkeypatch.setattr(openenv, "_connect", connect)
    with pytest.raises(InfraError):
        episode.start()
    assert connected[0].socket.fileno() == -1


def test_results_are_cut(url):
    env, tasks = remote(url, max_chars=5)
    episode = env.episode(tasks[0], 0)
    episode.start()
    assert len(episode.step(act("get", item="x")).messages[0]["content"]) == 5
    episode.close()


def test_a_server_that_is_full_or_gone_is_no_fault_of_the_agent(url):
    with served("craft", Craft(), TASKS, sessions=1) as single:
        env, tasks = remote(single)
        first = env.episode(tasks[0], 0)
        first.start()
        with pytest.raises(InfraError, match="CAPACITY_REACHED"):
            env.episode(tasks[0], 0).start()
    with pytest.raises(InfraError, match="no answer"):
        first.step(act("get", item="x"))
    with pytest.raises(InfraError, match="gives no answer"):
        Openenv(single).episode(tasks[0], 0)
    with pytest.raises(InfraError, match="cannot be reached"):
        env.episode(tasks[0], 0).start()


def test_a_task_that_the_server_does_not_know_is_told(url):
    with pytest.raises(InfraError, match="refuses to start"):
        Openenv(url).episode(Task("t", [], data={"task": "none"}), 0).start()


def test_an_address_that_is_none_is_told():
    with pytest.raises(UserError, match="http://host:port"):
        Openenv("localhost:8000").episode(Task("t", []), 0)


def test_a_server_of_another_kind_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            connection, _ = listening.accept()
            connection.recv(4096)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n<html>")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(UserError, match="no OpenEnv server"):
            Openenv(f"http://127.0.0.1:{listening.getsockname()[1]}").episode(Task("t", []), 0)


THEIRS = """
import sys
from openenv.core.env_server import Action, Environment, Observation, State, create_app

class Guess(Action):
    number: int

class Seen(Observation):
    text: str = ""

class Game(Environment):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed=None, episode_id=None, **kwargs):
        self.secret = (seed or 0) % 9 + 1
        return Seen(text="Between 1 and 9.")

    def step(self, action, timeout_s=None, **kwargs):
        won = action.number == self.secret
        return Seen(text="right" if won else "wrong", done=won, reward=float(won))

    @property
    def state(self):
        return State(episode_id="e", step_count=0)

import uvicorn
app = create_app(Game, Guess, Seen, env_name="guess", max_concurrent_envs=8)
uvicorn.run(app, fd=int(sys.argv[1]), log_level="error")
"""
CLIENT = """
import asyncio, json, sys
from openenv.core.generic_client import GenericEnvClient

async def main():
    async with GenericEnvClient(base_url=sys.argv[1]) as client:
        first = await client.reset(task=sys.argv[2])
        seen = await client.step({"type": "call_tool", "tool_name": "get", "arguments": {"item": "x"}})
        state = await client.state()
        print(json.dumps([first.observation, seen.observation, seen.done, state]))

asyncio.run(main())
"""


@pytest.fixture
def theirs():
    folder = Path(os.environ.get("OPENENV", "openenv/bin"))
    if not (folder / "openenv").exists():
        pytest.skip("OPENENV names no folder with OpenEnv's programs (see the top of this file)")
    return folder


@pytest.mark.slow
def test_openenvs_own_validator_passes_our_server(theirs, url):
    done = subprocess.run([theirs / "openenv", "validate", "--url", url], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL" not in done.stdout


@pytest.mark.slow
def test_openenvs_own_client_plays_on_our_server(theirs, url):
    done = subprocess.run(
        [theirs / "python", "-c", CLIENT, url, TASKS[0].id], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    first, seen, over, state = json.loads(done.stdout)
    assert first["messages"][-1]["role"] == "user"
    assert seen["result"].startswith("Cannot get x")
    assert (over, state["step_count"]) == (False, 1)


@pytest.mark.slow
def test_an_environment_written_for_openenv_is_played(theirs, tmp_path):
    (tmp_path / "game.py").write_text(THEIRS)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = listening.fileno()
        game = subprocess.Popen([theirs / "python", tmp_path / "game.py", str(number)], pass_fds=[number])
        try:
            env = Openenv(f"http://127.0.0.1:{listening.getsockname()[1]}", seconds=120)
            episode = env.episode(Task("t", [{"role": "user", "content": "Guess."}]), seed=6)
            assert episode.start()[-1]["content"] == "Guess.\nBetween 1 and 9."
            assert episode.tools[0]["function"]["parameters"]["required"] == ["number"]
            wrong, right = (episode.step(act("act", number=number)) for number in (3, 7))
            assert (wrong.messages[0]["content"], wrong.done) == ("wrong", False)
            assert (right.reward, right.done, right.feedback) == (1.0, True, {"success": True})
            episode.close()
        finally:
            game.terminate()
            game.wait(60)
