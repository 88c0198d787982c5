import importlib.util
import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from agenttrain.env.api import Api
from agenttrain.errors import UserError
from agenttrain.policy.scripted import Scripted, call
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.task.api import Api as ApiTasks
from agenttrain.types import InfraError

PLAIN = """
import json, sys, time

lamps = {"hall": False, "attic": False}
FIELDS = {"lamp": {"type": "string"}, "on": {"type": "boolean"}}
SWITCH = {"type": "object", "properties": FIELDS, "required": ["lamp", "on"]}
TOOLS = [
    {"name": "switch", "description": "Switch a lamp.", "inputSchema": SWITCH},
    {"name": "sleep", "inputSchema": {"type": "object"}},
    {"name": "lamps", "inputSchema": {"type": "object"}},
]

def call(name, lamp="", on=False):
    if name == "sleep":
        time.sleep(600)
    if name == "lamps":
        return {"content": [{"type": "text", "text": json.dumps(lamps)}]}
    if lamp not in lamps:
        return {"content": [{"type": "text", "text": f"no lamp {lamp}"}], "isError": True}
    lamps[lamp] = on
    return {"content": [{"type": "text", "text": "switched"}, {"type": "image", "data": ""}]}

print("a stray line")
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message or "method" not in message:
        continue
    asked = message.get("params", {})
    if message["method"] == "initialize":
        print(json.dumps({"jsonrpc": "2.0", "id": "p", "method": "ping"}))
        version = asked["protocolVersion"]
        answer = {"result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {}}}
    elif message["method"] == "tools/list":  # two pages
        later = asked.get("cursor") == "2"
        answer = {"result": {"tools": TOOLS[1:]} if later else {"tools": TOOLS[:1], "nextCursor": "2"}}
    elif message["method"] == "tools/call":
        answer = {"result": call(asked["name"], **asked["arguments"])}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}), flush=True)
"""
SDK = '''
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server, lamps = MCPServer("lamps"), {"hall": False, "attic": False}

@server.tool()
def switch(lamp: str, on: bool) -> str:
    """Switch a lamp."""
    if lamp not in lamps:
        raise ToolError(f"no lamp {lamp}")
    lamps[lamp] = on
    return "switched"

@server.tool(name="lamps")
def state() -> dict[str, bool]:
    """Every lamp."""
    return lamps

server.run()
'''
SWITCHED = {lamp: [{"name": "switch", "arguments": {"lamp": lamp, "on": True}}] for lamp in ("hall", "attic")}


@pytest.fixture
def server(tmp_path):
    path = tmp_path / "server.py"
    path.write_text(PLAIN)
    return [sys.executable, str(path)]


def tasks(folder):
    (folder / "wishes.json").write_text(
        json.dumps([{"wish": f"Light the {lamp}.", "calls": calls} for lamp, calls in SWITCHED.items()])
    )
    return list(ApiTasks("all", wishes=str(folder / "wishes.json")))


def do(episode, name, **arguments):
    return episode.step({"tool_calls": [{"function": {"name": name, "arguments": arguments}}]})


class Lighter(Scripted):
    """Switches the lamp that the wish names, or with `all` every lamp."""

    def __init__(self, all=False):
        super().__init__()
        self.all = all

    def act(self, conversation):
        named = conversation.messages[1]["content"].removeprefix("Light the ").removesuffix(".")
        lamps = ["hall", "attic"] if self.all else [named]
        if conversation.turn == len(lamps):
            return call(conversation, "finish", answer="done")
        return call(conversation, "switch", lamp=lamps[conversation.turn], on=True)


def test_a_servers_tools_are_played_and_its_state_decides(server, tmp_path):
    env = Api(mcp=server, state_tool="lamps", operations=["switch"], seconds=60)
    limits = Limits(tool_timeout=300)
    for policy, success in ((Lighter(), True), (Lighter(all=True), False)):
        ended = list(rollout(attempts(tasks(tmp_path)), env, policy, limits))
        assert [(episode.stop, episode.success) for episode in ended] == [("done", success)] * 2, ended[0].error
    assert {tool["function"]["name"] for tool in ended[0].tools} == {"switch", "finish"}
    assert ended[0].turns[-1].observation.feedback["side_effects"] == 1
    wait_until_gone(server)


def wait_until_gone(command):
    deadline = time.monotonic() + 30
    while any(command[-1].encode() in line for line in map(command_line, Path("/proc").glob("[0-9]*"))):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def command_line(folder):
    try:
        return (folder / "cmdline").read_bytes()
    except OSError:
        return b""


def test_results_errors_and_silence_are_told(server, tmp_path):
    episode = Api(mcp=server, state_tool="lamps", seconds=60).episode(tasks(tmp_path)[0], 0)
    assert [tool["function"]["name"] for tool in episode.tools] == ["switch", "sleep", "finish"]
    try:
        assert do(episode, "switch", lamp="hall", on=True).messages[0]["content"] == "switched\n[image]"
        wrong = do(episode, "switch", lamp="cellar", on=True)
        assert (wrong.messages[0]["content"], wrong.feedback) == ("no lamp cellar", {"tool_error": "no lamp cellar"})
        assert "invalid_call" in do(episode, "switch", lamp="hall", on="yes").feedback
        episode.backend.seconds = 0.2
        late = do(episode, "sleep")
        assert (late.messages[0]["content"], late.feedback) == ("No answer in time.", {"tool_error": "timeout"})
        assert do(episode, "finish", answer="").feedback["success"] is False  # it hangs by the policy's doing
    finally:
        episode.close()
    wait_until_gone(server)


def test_closing_frees_a_step_that_hangs(server, tmp_path):
    episode = Api(mcp=server, seconds=600).episode(tasks(tmp_path)[0], 0)
    raised = []

    def hang():
        try:
            do(episode, "sleep")
        except InfraError as error:
            raised.append(error)

    thread = threading.Thread(target=hang)
    thread.start()
    time.sleep(0.2)
    episode.close()
    thread.join(30)
    assert not thread.is_alive()
    assert raised


def test_what_is_no_server_is_said(server, tmp_path):
    task = tasks(tmp_path)[0]
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(UserError, match="there is no program 'no-such-program'"):
        Api(mcp=["no-such-program"]).episode(task, 0)
    with pytest.raises(UserError, match=r"no tool 'lamp' \(env\.state_tool\)\. Did you mean lamps\?"):
        Api(mcp=server, state_tool="lamp", seconds=60).episode(task, 0)
    with pytest.raises(InfraError, match="has ended"):
        Api(mcp=[sys.executable, "-c", ""]).episode(task, 0)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mcp") is None, reason="mcp, the SDK of servers, is not installed")
def test_a_server_of_the_official_sdk(tmp_path):
    path = tmp_path / "sdk_server.py"
    path.write_text(SDK)
    env = Api(mcp=[sys.executable, str(path)], state_tool="lamps", seconds=60)
    ended = list(rollout(attempts(tasks(tmp_path)), env, Lighter(), Limits(tool_timeout=300)))
    assert [(episode.stop, episode.success) for episode in ended] == [("done", True)] * 2, ended[0].error
    episode = env.episode(tasks(tmp_path)[0], 0)
    wrong = do(episode, "switch", lamp="cellar", on=True)
    episode.close()
    assert "no lamp cellar" in wrong.feedback["tool_error"]
    wait_until_gone([str(path)])
