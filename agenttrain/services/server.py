"""An invented service over HTTP, for env.url: `python -m agenttrain.services.server bookshop --port 8000`.

`/openapi.json` describes it. POST `/episodes` makes a copy of it, whose requests go below the `path` that it answers
with; GET there tells the copy's state and DELETE ends it.
"""

from __future__ import annotations

import argparse
import json
import secrets
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agenttrain.services.description import description
from agenttrain.services.service import Answer, Service, read_body
from agenttrain.services.trade import SEEN, UNSEEN, Trade, trade

MOST = 100_000
"""Bytes of a request's body."""
COPIES = 10_000
"""At once; the oldest gives way, for whoever made it may have died."""


class Server(ThreadingHTTPServer):
    """Listens on loopback from its construction on; `serve_forever` answers.

    Args:
        port: 0 for any that is free; `url` tells which.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, trade: Trade, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Connection)
        self.trade = trade
        self._copies: dict[str, tuple[Service, threading.Lock]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, method: str, target: str, body: Any) -> Answer:
        """What a request is answered with."""
        head, _, rest = target.lstrip("/").partition("/")
        if (method, head) == ("GET", "openapi.json"):
            return 200, description(self.trade)
        if (method, target) == ("POST", "/episodes"):
            return self._make(body)
        key, _, within = rest.partition("/")
        copy = self._copies.get(key) if head == "episodes" else None
        if copy is None:
            return 404, {"error": "no such path; POST /episodes makes a copy of the service"}
        if not within:
            return self._end(key) if method == "DELETE" else (200, copy[0].state)
        with copy[1]:
            return copy[0].request(method, f"/{within}", body)

    def _make(self, body: Any) -> Answer:
        wanted = body if isinstance(body, dict) else {}
        if wanted.get("service") != self.trade.name or type(wanted.get("rows")) is not int:
            return 422, {"error": f"this is the {self.trade.name}: give its name as 'service' and a number of 'rows'"}
        key = secrets.token_hex(8)
        self._copies[key] = Service(self.trade, wanted["rows"]), threading.Lock()
        if len(self._copies) > COPIES:
            self._copies.pop(next(iter(self._copies)), None)
        return 201, {"path": f"/episodes/{key}"}

    def _end(self, key: str) -> Answer:
        self._copies.pop(key, None)
        return 200, {}


class _Connection(BaseHTTPRequestHandler):
    timeout = 30

    def _answer(self) -> None:
        assert isinstance(self.server, Server)
        length = self.headers.get("Content-Length") or "0"
        if not length.isdigit() or int(length) > MOST:
            self.send_error(413)
            return
        text = self.rfile.read(int(length)).decode("utf-8", "replace")
        status, value = self.server.answer(self.command, self.path, read_body(text))
        data = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """A line for each request would be too many."""


def main() -> None:
    """Serve until interrupted; the first line tells the URL."""
    parser = argparse.ArgumentParser(description="An invented service over HTTP, on loopback.")
    parser.add_argument("service", choices=[known.name for known in (*SEEN, *UNSEEN)])
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    words = parser.parse_args()
    with Server(trade(words.service), words.port) as server:
        print(server.url, flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
