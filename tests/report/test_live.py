"""What is served follows the run, and goes to this machine alone."""

import base64
import json
import urllib.error
import urllib.request
import zlib

import pytest

from agenttrain import store
from agenttrain.errors import UserError
from agenttrain.report import live, run


@pytest.fixture
def served(folder, monkeypatch):
    monkeypatch.setattr(live, "PATIENCE", 0)
    return live.Live(lambda: [run.read(folder, "mine", 100)])


def ask(address, path="", host=None):
    request = urllib.request.Request(address + path, headers={"Host": host} if host else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode(), answer.headers


def unpacked(text):
    return json.loads(zlib.decompress(base64.b64decode(text)))


def test_a_new_episode_makes_a_new_state_and_the_old_one_is_gone(served, folder, episode):
    before = served.state
    assert not served.refresh()
    store.append(folder / "trajectories.jsonl", episode("new", 0, step=3))
    assert served.answer("/state") != (before, "text/plain")
    assert served.answer(f"/index/{before}") is None
    index = unpacked(served.answer(f"/index/{served.state}")[0])
    newest = index["runs"][0]["episodes"][-1]
    assert newest["task"] == "new"
    chunk = unpacked(served.answer(f"/chunk/{served.state}/{newest['chunk']}")[0])
    assert len(chunk[newest["place"]]["turns"]) == newest["turns"]


def test_a_run_that_takes_long_to_read_is_not_read_all_the_time(served, folder, episode, monkeypatch):
    monkeypatch.setattr(live, "PATIENCE", 1e9)
    for step in (3, 4):
        store.append(folder / "trajectories.jsonl", episode("new", 0, step=step))
        assert served.refresh() == (step == 3)


def test_the_page_asks_its_own_server_and_nobody_else(served):
    with live.Server(served, 0) as server:
        page, headers = ask(server.address)
        assert f'data-state="{served.state}"' in page
        assert "connect-src 'self'" in page
        assert headers["Cache-Control"] == "no-store"
        assert ask(server.address, "state")[0] == served.state


def test_strangers_get_nothing(served):
    with live.Server(served, 0) as server:
        assert server.address.startswith("http://127.0.0.1:")
        for path, host in (("", "evil.example:80"), ("../etc/passwd", None), ("chunk/x/0", None)):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                ask(server.address, path, host)


def test_a_taken_port_is_told(served):
    with live.Server(served, 0) as server:
        port = int(server.address.rsplit(":", 1)[1].strip("/"))
        with pytest.raises(UserError, match="--port"):
            live.Server(served, port)
