import subprocess
import sys
from http.client import HTTPConnection

from agenttrain.backend.openapi import Request
from agenttrain.backend.remote import fetch


def ask(server, method, target, body=None):
    answer = fetch(server.url, Request(method, target, {}, body), 20)
    return answer.status, answer.body


def test_copies_are_apart_tell_their_state_and_end(server):
    assert ask(server, "GET", "/openapi.json")[1]["info"]["title"] == "bookshop"
    paths = [ask(server, "POST", "/episodes", {"service": "bookshop", "rows": 0})[1]["path"] for _ in range(2)]
    assert ask(server, "DELETE", f"{paths[0]}/orders/1")[1]["status"] == "cancelled"
    first, second = (ask(server, "GET", path)[1] for path in paths)
    assert first["orders"]["1"]["status"] == "cancelled"
    assert second["orders"]["1"]["status"] == "open"
    assert ask(server, "DELETE", paths[0])[0] == 200
    assert ask(server, "GET", f"{paths[0]}/orders/1")[0] == 404
    assert ask(server, "GET", f"{paths[1]}/orders/1")[0] == 200


def test_what_is_no_request_for_a_copy_is_refused(server):
    for body in (None, [], {"service": "hotel", "rows": 0}, {"service": "bookshop", "rows": "0"}):
        assert ask(server, "POST", "/episodes", body)[0] == 422
    assert ask(server, "GET", "/books")[0] == 404
    connection = HTTPConnection(*server.server_address, timeout=20)
    connection.request("POST", "/episodes", headers={"Content-Length": "999999999"})
    assert connection.getresponse().status == 413
    connection.close()


def test_the_program_tells_its_url_and_serves():
    program = [sys.executable, "-m", "agenttrain.services.server", "clinic"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        assert fetch(url, Request("GET", "/openapi.json", {}), 20).body["info"]["title"] == "clinic"
        process.kill()
