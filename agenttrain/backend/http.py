"""Call -> request -> answer of a service that OpenAPI describes; in process, if it is an invented one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from agenttrain.backend.backend import Reply
from agenttrain.backend.openapi import Operation, Request
from agenttrain.services.service import Service
from agenttrain.types import Tool


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


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
