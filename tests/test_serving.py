"""OpenEnv's protocol, message by message; its own validator and client are in tests/env/test_openenv.py."""

import json
import threading
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from websockets.sync.client import connect

from agenttrain.env.hopqa import Hopqa
from agenttrain.task.hopqa import Hopqa as Questions
from agenttrain.types import Observation, Task

from .serving import served

TASKS = list(Questions(n=20, size=60))


@pytest.fixture(scope="module")
def url():
    with served("hopqa", Hopqa(), TASKS) as url:
        yield url


class Session:
    def __init__(self, url):
        self.socket = connect(f"ws{url.removeprefix('http')}/ws")
        self.told = []

    def ask(self, kind, **data):
        return self.send(json.dumps({"type": kind, "data": data}))

    def send(self, text):
        self.socket.send(text)
        self.told.append(self.socket.recv(timeout=30))
        answer = json.loads(self.told[-1])
        return answer["type"], answer["data"]

    def call(self, name, **arguments):
        return self.ask("step", type="call_tool", tool_name=name, arguments=arguments)


@pytest.fixture
def session(url):
    session = Session(url)
    yield session
    session.socket.close()


def test_an_episode_from_reset_to_done(session):
    task = TASKS[3]
    kind, data = session.ask("reset", seed=3)
    assert (kind, data["reward"], data["done"]) == ("observation", None, False)
    assert data["observation"]["messages"] == task.messages
    assert [tool["name"] for tool in data["observation"]["tools"]] == ["search", "finish"]
    assert session.ask("step", type="list_tools")[1]["observation"]["tools"] == data["observation"]["tools"]
    _, seen = session.call("search", query=task.data["gold"][0])
    assert seen["observation"]["result"].startswith(task.data["gold"][0])
    assert seen["metadata"] == {"found": True}
    _, state = session.ask("state")
    assert state["step_count"] == 1
    _, last = session.call("finish", answer=task.answer)
    assert (last["done"], last["reward"], last["metadata"]["success"]) == (True, 1.0, True)
    assert session.call("search", query="x")[1]["code"] == "VALIDATION_ERROR"
    assert session.ask("reset", task=task.id, episode_id="mine")[1]["done"] is False
    assert session.ask("state")[1] == {"episode_id": "mine", "step_count": 0}


def test_no_answer_leaves_the_server(session):
    for seed, task in enumerate(TASKS):
        session.ask("reset", seed=seed)
        session.ask("state")
        session.call("search", query="a city")
        session.call("finish", answer="nobody")
        session.ask("state")
        answers = [told for told in session.told if "found" not in told]
        assert not any(json.dumps(task.answer) in told for told in answers)
        assert not any('"gold"' in told for told in session.told)
        session.told.clear()


def test_sessions_do_not_touch_each_other_and_one_too_many_is_refused():
    with served("hopqa", Hopqa(), TASKS, sessions=8) as url:
        sessions = [Session(url) for _ in range(8)]
        for number, session in enumerate(sessions):
            session.ask("reset", seed=number)
        for number, session in enumerate(sessions):
            title = TASKS[number].data["gold"][0]
            assert session.call("search", query=title)[1]["metadata"] == {"found": True}
        refused = json.loads(Session(url).socket.recv(timeout=30))
        assert refused["data"]["code"] == "CAPACITY_REACHED"
        for session in sessions:
            session.socket.close()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "INVALID_JSON"),
        ("[]", "INVALID_JSON"),
        ('{"type": "step", "data": 3}', "INVALID_JSON"),
        ('{"type": "dance"}', "UNKNOWN_TYPE"),
        ('{"type": "step", "data": {"tool_name": "search"}}', "VALIDATION_ERROR"),
        ('{"type": "reset", "data": {"task": "none"}}', "VALIDATION_ERROR"),
        ('{"type": "reset", "data": {"seed": "x"}}', "VALIDATION_ERROR"),
    ],
)
def test_a_malformed_message_is_answered_and_the_session_goes_on(session, text, code):
    kind, data = session.send(text)
    assert (kind, data["code"]) == ("error", code)
    assert session.ask("reset", seed=1)[0] == "observation"
    assert session.call("fly")[1]["metadata"]["invalid_call"]
    assert session.ask("step", tool_name="search", arguments=[1])[1]["metadata"]["invalid_call"]


def test_the_pages_that_openenv_asks_for(url):
    def get(path):
        with urlopen(url + path, timeout=30) as answer:
            return json.load(answer)

    assert get("/health") == {"status": "healthy"}
    assert get("/metadata")["name"] == "hopqa"
    assert set(get("/schema")) == {"action", "observation", "state"}
    assert {"/reset", "/step", "/state"} <= set(get("/openapi.json")["paths"])
    for path, status in (("/reset", 409), ("/step", 409)):
        with pytest.raises(HTTPError) as refused:
            urlopen(Request(url + path, b"{}", method="POST"), timeout=30)
        assert refused.value.code == status
        assert "/ws" in json.load(refused.value)["detail"]


class Slow:
    """An environment whose step waits until it is let go."""

    def __init__(self):
        self.go, self.closed, self.tools = threading.Event(), 0, []

    def episode(self, task, seed):
        return self

    def start(self):
        return [{"role": "user", "content": "Wait."}]

    def step(self, action):
        self.go.wait(30)
        return Observation([], state="s")

    def close(self):
        self.closed += 1
        self.go.set()


def test_a_step_that_hangs_ends_its_session_and_nobody_elses():
    slow = Slow()
    with served("slow", slow, [Task("t", [])], seconds=2.0) as url:
        session, other = Session(url), Session(url)
        session.ask("reset")
        assert session.call("x")[1]["code"] == "EXECUTION_ERROR"
        assert slow.closed == 1
        assert other.ask("state")[0] == "state"
        assert session.call("x")[1]["code"] == "VALIDATION_ERROR", "it has no episode any more"


def test_an_episode_is_closed_when_its_client_is_gone():
    slow = Slow()
    with served("slow", slow, [Task("t", [])]) as url:
        session = Session(url)
        session.ask("reset")
        session.socket.close()
        deadline = time.monotonic() + 30
        while not slow.closed and time.monotonic() < deadline:
            time.sleep(0.01)
        assert slow.closed == 1
