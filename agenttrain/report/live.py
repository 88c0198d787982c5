"""A run that goes on -> its report, read again when its files have changed, and served to this machine alone."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from agenttrain.errors import UserError
from agenttrain.report import page
from agenttrain.report.run import Run

PATIENCE = 10
"""A run is not read again before this many times as long as reading it took."""
_WATCHED = ("*.jsonl", "eval.json", "config.yaml")


class Live:
    """The newest state of one run or two."""

    def __init__(self, read: Callable[[], list[Run]]) -> None:
        """`read` gives the runs as they are now."""
        self._read, self._lock = read, threading.Lock()
        self._ready = 0.0
        self.runs = read()
        self.state = self._state()
        self.content = page.content(self.runs)

    def refresh(self) -> bool:
        """Read the runs again if their files have changed; whether they had."""
        with self._lock:
            newest = self._state()
            if newest == self.state or time.monotonic() < self._ready:
                return False
            began = time.monotonic()
            self.runs = self._read()
            self.content, self.state = page.content(self.runs), newest
            self._ready = time.monotonic() + PATIENCE * (time.monotonic() - began)
            return True

    def answer(self, path: str) -> tuple[str, str] | None:
        """Body and type of what a page asks for; None for what is not there, or no longer."""
        if path == "/":
            return page.html(self.content, self.state), "text/html"
        if path == "/state":
            self.refresh()
            return self.state, "text/plain"
        with self._lock:
            data, state = self.content, self.state
        packed = {f"/index/{state}": data.index}
        packed |= {f"/chunk/{state}/{number}": chunk for number, chunk in enumerate(data.chunks)}
        return (packed[path], "text/plain") if path in packed else None

    def _state(self) -> str:
        files = [file for run in self.runs for pattern in _WATCHED for file in sorted(run.folder.glob(pattern))]
        told = [(str(file), stat.st_size, stat.st_mtime_ns) for file in files for stat in (file.stat(),)]
        return sha256(repr(told).encode()).hexdigest()[:16]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), OSError):  # a page that was closed before it was whole is no fault
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Server:
    """Serves `live` on a port of 127.0.0.1 while the `with` block runs."""

    def __init__(self, live: Live, port: int) -> None:
        """
        Raises:
            UserError: the port is taken, or not ours to take.
        """
        try:
            self._server = _Server(("127.0.0.1", port), _talk(live))
        except OSError as error:
            raise UserError(
                f"Port {port} cannot be used: {error.strerror}. Choose another with --port; 0 is any."
            ) from None
        self.address = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Server:
        threading.Thread(target=self._server.serve_forever, name="report", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _talk(live: Live) -> type[BaseHTTPRequestHandler]:
    class Talk(BaseHTTPRequestHandler):
        timeout = 10  # seconds that a silent client holds a thread

        def do_GET(self) -> None:
            found = live.answer(self.path) if self._is_for_us() else None
            body, kind = found or ("There is nothing here.", "text/plain")
            packed = body.encode("utf-8", "replace")
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(packed)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(packed)

        def _is_for_us(self) -> bool:
            """A page of somebody else's, whose name was made to lead to this machine, asks for that name."""
            return self.headers.get("Host", "").rpartition(":")[0] in ("127.0.0.1", "localhost")

        def log_message(self, format: str, *args: object) -> None:
            """No line for each request."""

    return Talk
