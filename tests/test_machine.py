import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agenttrain import machine


@pytest.fixture
def server():
    """Answers by its path: an endpoint, one that wants a key, another kind of server."""
    answers = {"/v1/models": (200, {"data": [{"id": "qwen"}]}), "/closed/models": (401, {}), "/odd/models": (200, [])}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, content = answers.get(self.path, (404, {}))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def states(checks):
    return {check.name: check.state for check in checks}


def test_a_library_that_is_missing_or_of_another_version_is_a_fault(monkeypatch):
    lines = ["numpy>=1.26", "trl>=99,<100", "no-such-library>=2", "pytest>=99; extra == 'dev'"]
    monkeypatch.setattr(machine, "requires", lambda _: lines)
    found = {check.name: check for check in machine.libraries()}
    assert states(found.values()) == {"trl": "fault", "no-such-library": "fault", "libraries": "ok"}
    assert "agenttrain needs <100,>=99" in found["trl"].found
    assert found["no-such-library"].advice == "pip install 'no-such-library>=2'"
    assert found["libraries"].found.startswith("numpy ")


def test_what_is_installed_here_is_what_agenttrain_requires():
    assert set(states(machine.libraries()).values()) == {"ok"}


def test_a_folder_that_cannot_be_written_or_has_little_room_is_told(tmp_path, monkeypatch):
    assert machine.disk(tmp_path / "missing").state == "fault"
    monkeypatch.setattr(machine, "ROOM", 0.0)
    assert machine.disk(tmp_path).state == "ok"
    monkeypatch.setattr(machine, "ROOM", 1e9)
    assert machine.disk(tmp_path).state == "lacks"
    assert not list(tmp_path.iterdir())


def test_walls_that_do_not_hold_are_told_with_the_reason(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("agenttrain.sandbox.bubblewrap.shutil.which", lambda *_, **__: None, raising=False)
    found = {check.name: check for check in machine.walls()}
    assert found["sandbox: bubblewrap"].state == "lacks"
    assert found["sandbox: bubblewrap"].found


def test_an_endpoint_is_asked_for_its_models(server):
    assert machine.endpoint(f"{server}/v1").found.endswith("serves qwen")
    assert machine.endpoint(f"{server}/v1/").state == "ok"
    assert "wants a key" in machine.endpoint(f"{server}/closed").found
    for place in ("/other", "/odd"):
        assert machine.endpoint(server + place).state == "fault"
    silent = machine.endpoint("http://127.0.0.1:9/v1")
    assert (silent.state, silent.advice) == ("fault", "Start the server, or mend policy.url.")


def test_a_server_that_says_nothing_is_given_up():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as mute:
        found = machine.endpoint(f"http://127.0.0.1:{mute.getsockname()[1]}/v1", seconds=0.2)
    assert found.state == "fault"
    assert "timed out" in found.found
