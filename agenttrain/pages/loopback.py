"""Request -> response over HTTP: the sites of `env=web` and the files of MiniWoB++, for a browser on this machine."""

from __future__ import annotations

import secrets
import sys
import threading
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from agenttrain.pages.site import Response, Site

VISITOR = "visitor"
"""The cookie by which a visitor's own site is found."""
LARGEST = 100_000
"""Bytes of a request's body."""
NOTHING = "<p>There is nothing here.</p>"
"""An answer without a body is no page to a browser."""
_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".png": "image/png"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), OSError):  # a page that was left before it was whole is no fault
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Loopback:
    """A server on a free port of 127.0.0.1, on threads that end with us.

    Args:
        files: folder that is served below `/files`, to everybody; None for none.
    """

    def __init__(self, files: Path | None) -> None:
        self.files = files.resolve() if files else None
        self.sites: dict[str, Site] = {}
        """By the value of their visitor's cookie."""
        self._server = _Server(("127.0.0.1", 0), self._talk())
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, name="site", daemon=True).start()

    def admit(self, site: Site) -> str:
        """A secret, for the cookie of the one who may see `site`."""
        visitor = secrets.token_hex(16)
        self.sites[visitor] = site
        return visitor

    def close(self) -> None:
        """Returns when the port is free."""
        self._server.shutdown()
        self._server.server_close()

    def _talk(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Talk(BaseHTTPRequestHandler):
            timeout = 10  # seconds that a silent client holds a thread

            def do_GET(self) -> None:
                if urlsplit(self.path).path.startswith("/files/"):
                    self.send_file(unquote(urlsplit(self.path).path.removeprefix("/files/")))
                else:
                    self.send_answer({})

            def do_POST(self) -> None:
                length = self.headers.get("Content-Length", "")
                body = self.rfile.read(min(LARGEST, int(length) if length.isdecimal() else 0))
                self.send_answer(dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)))

            def send_answer(self, fields: dict[str, str]) -> None:
                cookie = SimpleCookie(self.headers.get("Cookie", "")).get(VISITOR)
                site = server.sites.get(cookie.value) if cookie else None
                answer = site.request(self.command, self.path, fields) if site else Response(403, NOTHING)
                headers = {"Location": answer.location} if answer.location else {}
                self.send(answer.status, answer.html.encode(), _TYPES[".html"], headers)

            def send_file(self, name: str) -> None:
                path = (server.files / name).resolve() if server.files else None
                if path and path.is_file() and server.files in path.parents:
                    self.send(200, path.read_bytes(), _TYPES.get(path.suffix, "application/octet-stream"), {})
                else:
                    self.send(404, NOTHING.encode(), _TYPES[".html"], {})

            def send(self, status: int, body: bytes, kind: str, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                # Going back shows what the site shows now, and no form as it was left.
                self.send_header("Cache-Control", "max-age=3600" if kind != _TYPES[".html"] else "no-store")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Talk
