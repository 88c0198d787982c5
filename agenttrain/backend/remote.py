"""Task -> a service at a URL: its description read once, and its own copy of the service for each episode."""

from __future__ import annotations

import json
import os
import threading
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from agenttrain.backend.http import Answer, HttpBackend
from agenttrain.backend.openapi import Operation, Request, operations
from agenttrain.errors import UserError
from agenttrain.terminal import plain
from agenttrain.types import InfraError, Task

MOST = 1_000_000
"""Bytes of an answer that are read."""


class Site:
    """Where a service listens, and how its episodes are made; the arguments are those of `env=api`."""

    def __init__(
        self,
        url: str,
        description: str | None,
        episodes: str | None,
        token_env: str | None,
        seconds: float,
    ) -> None:
        self.url, self.episodes = url.rstrip("/"), episodes
        self.description = description or f"{self.url}/openapi.json"
        self.token_env, self.seconds = token_env, seconds
        self._described: list[Operation] = []
        self._reading = threading.Lock()

    def open(self, task: Task) -> HttpBackend:
        """
        Raises:
            UserError: the service cannot be read, or refuses the task.
            InfraError: it does not answer.
        """
        with self._reading:  # many episodes start at once
            if not self._described:
                self._described = operations(_read(self.description, self.seconds))
        token = os.environ.get(self.token_env) if self.token_env else None
        if self.token_env and token is None:
            raise UserError(f"The environment variable {self.token_env} (env.token_env) is not set.")
        path = self._copy(self.episodes, task, token) if self.episodes else ""
        return HttpBackend(self._described, Remote(self.url, path, self.seconds, token))

    def _copy(self, episodes: str, task: Task, token: str | None) -> str:
        """The path of a copy of the service."""
        where = self.url + episodes
        try:
            made = fetch(self.url, Request("POST", episodes, {}, task.data), self.seconds, token)
        except TimeoutError as error:
            raise InfraError(f"{where} makes no episode in {self.seconds:g} s.") from error
        if made.status >= 500:
            raise InfraError(f"{where} makes no episode: {made.status}.")
        if made.status >= 400 or not isinstance(made.body, dict) or not isinstance(made.body.get("path"), str):
            told = plain(str(made.body), 200)
            raise UserError(f"{where} makes no episode for task {task.id}: {made.status} {told}")
        return made.body["path"]


class Remote:
    """A service at a URL, over a connection for each request, so that an idle episode holds none.

    Args:
        episode: path of this episode's own copy of the service: requests go below it, GET there tells its state and
            DELETE ends it. Empty where all episodes share the service and its state is unknown.
        seconds: for a request, from connecting to its answer's last byte.
        token: sent as `Authorization: Bearer`, if any.
    """

    def __init__(self, url: str, episode: str, seconds: float, token: str | None) -> None:
        self.url, self.episode, self.seconds, self.token = url, episode, seconds, token

    def send(self, request: Request) -> Answer:
        return fetch(self.url + self.episode, request, self.seconds, self.token)

    def key(self) -> str:
        return ""

    def state(self) -> Any:
        if not self.episode:
            return None
        answer = self._control("GET")
        if answer.status != 200:
            raise InfraError(f"{self.url}{self.episode} does not tell its state: {answer.status}.")
        return answer.body

    def close(self) -> None:
        if self.episode:
            self._control("DELETE")
            self.episode = ""

    def _control(self, method: str) -> Answer:
        try:
            return self.send(Request(method, "", {}))
        except TimeoutError as error:
            raise InfraError(f"{self.url}{self.episode} does not answer.") from error


def fetch(url: str, request: Request, seconds: float, token: str | None = None) -> Answer:
    """The answer of whoever listens at `url` to a request below it. A redirection is an answer like others.

    Raises:
        TimeoutError: not all of it came within `seconds`.
        InfraError: nobody listens, or what answers does not speak HTTP.
    """
    place, deadline = urlsplit(url), monotonic() + seconds
    kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
    connection = kind(place.hostname or "", place.port, timeout=seconds)
    headers = {"Accept": "application/json", "Connection": "close", **request.headers}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    body = None
    if request.body is not None:
        body, headers["Content-Type"] = json.dumps(request.body).encode(), "application/json"
    try:
        connection.request(request.method, place.path + request.target or "/", body, headers)
        answer = connection.getresponse()
        return Answer(answer.status, _body(answer, deadline), answer.getheader("Retry-After") or "")
    except TimeoutError:
        raise
    except (OSError, HTTPException) as error:
        raise InfraError(f"{url}: {type(error).__name__}: {error}") from error
    finally:
        connection.close()


def _body(answer: HTTPResponse, deadline: float) -> Any:
    data = b""
    while len(data) < MOST and (part := answer.read1(65_536)):
        data += part
        if monotonic() > deadline:  # a timeout of a socket is one of each read
            raise TimeoutError
    text = data[:MOST].decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _read(place: str, seconds: float) -> dict[str, Any]:
    """A description from a file or a URL.

    Raises:
        UserError: there is none.
    """
    import yaml  # JSON is YAML

    try:
        if place.startswith(("http://", "https://")):
            answer = fetch(place, Request("GET", "", {}), seconds)
            found = answer.body if isinstance(answer.body, dict) else yaml.safe_load(str(answer.body))
        else:
            found = yaml.safe_load(Path(place).read_text(encoding="utf-8"))
    except (OSError, InfraError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"Cannot read the description {place}: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(found, dict):
        raise UserError(f"{place} is no OpenAPI description.")
    return found
