"""Call -> request -> answer, to a service that OpenAPI describes: an invented one in process, or any by its URL."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from time import monotonic
from typing import Any, Protocol
from urllib.parse import urlsplit

from agenttrain.env.backend import Reply
from agenttrain.env.openapi import Operation, Request
from agenttrain.services.service import Service
from agenttrain.types import InfraError, Tool

MOST = 1_000_000
"""Bytes of an answer that are read."""


@dataclass(frozen=True)
class Answer:
    """A service's answer; `body` is a JSON value, or text where it is none."""

    status: int
    body: Any
    retry_after: str = ""


class Sender(Protocol):
    """Who answers requests."""

    def send(self, request: Request) -> Answer:
        """
        Raises:
            TimeoutError: no answer in time; the request may have been executed.
            InfraError: nobody there.
        """
        ...

    def key(self) -> str: ...

    def state(self) -> Any: ...

    def close(self) -> None: ...


class HttpBackend:
    """`feedback` of a call holds `status`; from 400 on `tool_error`; and `mismatch` where the answer is not what the
    description promises."""

    def __init__(self, operations: Sequence[Operation], sender: Sender) -> None:
        self._operations = {operation.name: operation for operation in operations}
        self._sender = sender
        self.key, self.state, self.close = sender.key, sender.state, sender.close

    @property
    def tools(self) -> list[Tool]:
        return [operation.tool for operation in self._operations.values()]

    def call(self, name: str, arguments: dict[str, Any]) -> Reply:
        operation = self._operations[name]
        try:
            answer = self._sender.send(operation.request(arguments))
        except TimeoutError:
            return Reply("No answer in time.", {"tool_error": "timeout"})
        line = f"{answer.status} {_phrase(answer.status)}".rstrip()
        facts: dict[str, Any] = {"status": answer.status}
        if answer.status >= 400:
            facts["tool_error"] = line
        if mismatch := operation.mismatch(answer.status, answer.body):
            facts["mismatch"] = mismatch
        later = f"\nRetry-After: {answer.retry_after}" if answer.retry_after else ""
        body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body, ensure_ascii=False)
        return Reply(f"{line}{later}\n{body}", facts)


class Embedded:
    """An invented service in this process."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def send(self, request: Request) -> Answer:
        return Answer(*self.service.request(request.method, request.target, request.body))

    def key(self) -> str:
        return hashlib.sha256(json.dumps(self.service.state, sort_keys=True).encode()).hexdigest()[:16]

    def state(self) -> Any:
        return self.service.state

    def close(self) -> None:
        pass


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


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
