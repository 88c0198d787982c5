"""Task -> Episode: call the tools of a service until what was wished for is done, then finish."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

from agenttrain.backend.backend import Backend, Reply, leaves, outcome, says
from agenttrain.backend.http import Embedded, HttpBackend
from agenttrain.backend.mcp import McpBackend
from agenttrain.backend.openapi import Operation, operations
from agenttrain.backend.remote import Site
from agenttrain.backend.schema import Schema
from agenttrain.backend.tau import TauBackend
from agenttrain.env.gateway import Gateway
from agenttrain.env.tools import BadCall, Call, answers, read_call, tool
from agenttrain.errors import UserError, did_you_mean
from agenttrain.ranges import Count, Positive, Share
from agenttrain.services.description import description as describe
from agenttrain.services.service import Service
from agenttrain.services.trade import trade
from agenttrain.terminal import plain
from agenttrain.types import Message, Observation, Task, Tool

FINISH = tool("finish", "End, with the answer if one was asked for.", answer={"type": "string"})


class Api:
    """Tools of an invented service in process, of any that OpenAPI describes, of an MCP server, or of tau-bench.

    Which it is, is said by the first of: the task (tau-bench's), `mcp`, `url`; without any the service is invented.

    Args:
        url: where a service listens.
        description: its OpenAPI 3 description, a file (JSON or YAML) or a URL; None for `openapi.json` at `url`.
        episodes: path at `url` where POST, with the task's data, makes a copy of the service for one episode and
            answers with its `path`. None: all episodes share the service, whose state nobody verifies.
        operations: names of the tools that are offered; None for all.
        token_env: name of the environment variable whose value `url` wants as a bearer token.
        mcp: command, word by word, that starts an MCP server over stdio, one for each episode.
        state_tool: tool of the MCP server that returns its whole state; it is not offered to the policy.
        faults: share of calls, 0 to 1, answered by 500 or 504 and not executed.
        limit: calls in any `window` turns; one more is answered by 429. None: no limit.
        window: turns over which `limit` counts.
        seconds: for a request or a call of an MCP server's tool.
        max_chars: most characters of an observation; what is longer is cut in its middle.
    """

    def __init__(
        self,
        url: str | None = None,
        description: str | None = None,
        episodes: str | None = None,
        operations: Sequence[str] | None = None,
        token_env: str | None = None,
        mcp: Sequence[str] | None = None,
        state_tool: str | None = None,
        faults: Share = 0.0,
        limit: Count | None = None,
        window: Count = 10,
        seconds: Positive = 5.0,
        max_chars: Count = 2000,
    ) -> None:
        if url and mcp:
            raise UserError("env=api plays a service (env.url) or an MCP server (env.mcp), not both.")
        if limit is not None and limit >= window:
            raise UserError(f"env.limit={limit} within env.window={window} turns is no limit: a turn has one call.")
        self.url, self.description, self.episodes = url, description, episodes
        self.operations, self.token_env, self.mcp, self.state_tool = operations, token_env, mcp, state_tool
        self.faults, self.limit, self.window = faults, limit, window
        self.seconds, self.max_chars = seconds, max_chars
        self._site = Site(url, description, episodes, token_env, seconds) if url else None

    def episode(self, task: Task, seed: int) -> ApiEpisode:
        """
        Raises:
            UserError: the task does not fit the service, or the service cannot be read.
            InfraError: the service does not answer.
        """
        if not isinstance(task.answer, dict) or not {"answer", "mentions", "calls"} & set(task.answer):
            raise UserError(f"Task {task.id} has nothing for env=api to verify. Use task=api or task=tau.")
        return ApiEpisode(task, self, seed)

    def open(self, task: Task) -> Backend:
        """A fresh copy of what the task plays with."""
        if "tau" in task.data:
            return TauBackend(task.data["tau"])
        if self.mcp:
            return McpBackend(self.mcp, self.seconds, self.state_tool)
        if self._site:
            return self._site.open(task)
        if "service" not in task.data:
            raise UserError(f"Task {task.id} names no invented service. Give the service: env.url or env.mcp.")
        name = task.data["service"]
        return HttpBackend(_invented(name), Embedded(Service(trade(name), task.data["rows"])))


class ApiEpisode:
    """One attempt, over at the first `finish`.

    `feedback` of a call holds what its backend tells (`status`, `tool_error`, `mismatch`) and `refused` if it got no
    further than the gateway. Of the end: `success`; `missing` and `side_effects` (places of the state that are not as
    after the task's own calls, counted by whether these change them); `answer_right`, if there was a question; `calls`
    and `valid_calls` (share of turns so far that were no malformed call).
    """

    def __init__(self, task: Task, settings: Api, seed: int) -> None:
        self.task, self.settings = task, settings
        self.gateway = Gateway(settings.faults, settings.limit, settings.window, seed)
        self.backend: Backend | None = settings.open(task)
        try:
            self._tools = [*offered(self.backend.tools, settings.operations), *self.gateway.tools, FINISH]
        except UserError:
            self.close()
            raise
        self._schemas = {t["function"]["name"]: Schema(t["function"]["parameters"]) for t in self._tools}
        self.seen: set[str] = set()
        """What calls have shown so far."""
        self.turns = self.malformed = 0

    @property
    def tools(self) -> list[Tool]:
        return self._tools

    @property
    def state(self) -> str:
        """The wish, the service's state where it is known, and what calls have shown, in whatever order."""
        shown = hashlib.sha256("\0".join(sorted(self.seen)).encode()).hexdigest()[:16]
        return f"{self.task.id} {self.backend.key() if self.backend else ''} {shown}"

    def start(self) -> list[Message]:
        return self.task.messages

    def step(self, action: Message) -> Observation:
        state, call = self.state, self._read(action)
        self.turns += 1
        self.gateway.turn += 1
        if isinstance(call, Call) and call.name == "finish":
            facts = self._verdict(call.arguments["answer"])
            return Observation([], float(facts["success"]), True, state, facts)
        reply = self._call(call) if isinstance(call, Call) else call
        if isinstance(reply, BadCall):
            self.malformed += 1
            text, facts = reply.reason, {"invalid_call": reply.reason}
        else:
            text, facts = plain(reply.text, self.settings.max_chars), reply.facts
        return Observation(answers(action, call, text), state=state, feedback=facts)

    def close(self) -> None:
        backend, self.backend = self.backend, None
        if backend is not None:
            backend.close()

    def _read(self, action: Message) -> Call | BadCall:
        """`read_call`, and what it leaves: the schema in full depth."""
        call = read_call(action, self._tools)
        if isinstance(call, BadCall) or (fault := self._schemas[call.name].fault(call.arguments)) is None:
            return call
        return BadCall(f"{call.name}: {fault}", call.id, call.name)

    def _call(self, call: Call) -> Reply | BadCall:
        if call.name == "wait" and self.gateway.tools:
            self.gateway.turn += call.arguments["turns"] - 1
            return Reply("Turns have passed.")
        if refusal := self.gateway.refusal():
            return refusal
        assert self.backend is not None
        try:
            reply = self.backend.call(call.name, call.arguments)
        except ValueError as error:
            return BadCall(f"{call.name}: {error}", call.id, call.name)
        self.seen.add(reply.text)
        return reply

    def _verdict(self, given: str) -> dict[str, Any]:
        """The facts of the end."""
        wanted = self.task.answer
        facts: dict[str, Any] = {"calls": self.turns, "valid_calls": 1 - self.malformed / self.turns}
        if "answer" in wanted or "mentions" in wanted:
            facts["answer_right"] = says(given, wanted)
        if "calls" in wanted:
            facts |= self._done(wanted["calls"])
        facts["success"] = facts.get("answer_right", True) and not (facts.get("missing") or facts.get("side_effects"))
        return facts

    def _done(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, int]:
        """The service's state against that of a fresh copy on which the task's own calls were made."""
        assert self.backend is not None
        fresh = self.settings.open(self.task)
        try:
            before = leaves(fresh.state())
            for name, arguments in calls:
                reply = fresh.call(name, arguments)
                if "tool_error" in reply.facts and "tau" not in self.task.data:
                    raise RuntimeError(f"a call of task {self.task.id} itself fails: {name}: {plain(reply.text, 200)}")
            wanted = fresh.state()
        finally:
            fresh.close()
        if wanted is None:
            raise UserError(
                f"Task {self.task.id} is verified by the service's state, which nobody tells. "
                "Give env.episodes for a service, env.state_tool for an MCP server."
            )
        return outcome(before, leaves(wanted), leaves(self.backend.state()))


def offered(tools: list[Tool], chosen: Sequence[str] | None) -> list[Tool]:
    """Those of these names, or all.

    Raises:
        UserError: there is none of a chosen name, or one has a name that is taken.
    """
    named = {tool["function"]["name"]: tool for tool in tools}
    if taken := {"finish", "wait"} & set(named):
        raise UserError(f"The service has a tool {taken.pop()!r}, as env=api itself has. Rename it.")
    for name in chosen or ():
        if name not in named:
            raise UserError(f"The service has no tool {name!r} (env.operations).{did_you_mean(name, named)}")
    return [tool for name, tool in named.items() if chosen is None or name in chosen]


@cache
def _invented(name: str) -> list[Operation]:
    return operations(describe(trade(name)))
