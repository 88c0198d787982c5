"""Task -> Episode on an OpenEnv server (openenv 0.10), by its WebSocket `/ws`: reset, step, close, a session each."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import suppress
from typing import Any
from urllib.request import urlopen

from agenttrain.env.tools import BadCall, Call, answers, read_call, refused
from agenttrain.errors import UserError
from agenttrain.ranges import Count, Positive
from agenttrain.types import InfraError, Message, Observation, Task, Tool

UNSEEN = {"metadata", "tools", "messages"}
"""Fields of an observation that are not shown: what a policy sees is the rest."""


class Openenv:
    """Episodes on a server, one connection each. It is told the seed and the task's `data` when it is reset.

    A server whose actions are calls of tools (`call_tool`) offers its tools, any other the one tool `act`, whose
    arguments are the fields of its action. Either way the state key is the history. A server that cannot be reached, is
    full or does not answer in time is an infrastructure failure; what it answers with an error is a `tool_error`.

    Args:
        url: of the server, http://host:port.
        seconds: for each answer of the server; keep it below `rollout.tool_timeout`.
        success_at: lowest return that counts as success, where the server's metadata says no `success`.
        max_chars: most characters of an observation; what is longer is cut.
    """

    def __init__(self, url: str, seconds: Positive = 25.0, success_at: float = 1.0, max_chars: Count = 4000) -> None:
        self.url, self.seconds, self.success_at, self.max_chars = url.rstrip("/"), seconds, success_at, max_chars
        self._asking = threading.Lock()
        self._act: Tool | None = None

    def episode(self, task: Task, seed: int) -> OpenenvEpisode:
        """
        Raises:
            UserError: websockets is not installed, or the URL is none of an OpenEnv server.
            InfraError: the server does not answer.
        """
        if not self.url.startswith(("http://", "https://")):
            raise UserError(f"env.url={self.url} is no address: write http://host:port.")
        with self._asking:  # many episodes start at once
            self._act = self._act or _act(_schema(self.url, self.seconds))
        return OpenenvEpisode(task, self, seed, self._act)


class OpenenvEpisode:
    """One attempt. `feedback` holds what the server's metadata says, `tool_error`, and at the end `success`."""

    def __init__(self, task: Task, settings: Openenv, seed: int, act: Tool) -> None:
        self.task, self.settings, self.seed, self.act = task, settings, seed, act
        self._socket: Any = None
        self._closed = False
        self._tools: list[Tool] = []
        self._history: list[Any] = []
        self._total = 0.0

    @property
    def tools(self) -> list[Tool]:
        return self._tools

    def start(self) -> list[Message]:
        self._socket = _connect(self.settings)
        if self._closed:  # while it was being connected
            self.close()
        told = self._ask("reset", {**self.task.data, "seed": self.seed % 2**31})
        if "error" in told:
            raise InfraError(f"{self.settings.url} refuses to start: {told['error']}")
        self._tools = self._offered() if _calls_tools(self.act) else [self.act]
        scene = told["observation"].get("messages")
        if isinstance(scene, list) and scene:
            return scene
        *before, last = self.task.messages
        text = self._shown(told["observation"])
        return [*before, {**last, "content": f"{last['content']}\n{text}"}] if text else self.task.messages

    def step(self, action: Message) -> Observation:
        state = hashlib.sha256(json.dumps(self._history).encode()).hexdigest()
        call = read_call(action, self._tools)
        if isinstance(call, BadCall):
            return refused(action, call, state)
        told = self._ask("step", self._wire(call))
        if "error" in told:
            text, facts = f"Error: {told['error']}"[: self.settings.max_chars], {"tool_error": told["error"]}
            return Observation(answers(action, call, text), state=state, feedback=facts)
        text, reward = self._shown(told["observation"]), float(told.get("reward") or 0.0)
        self._total += reward
        self._history.append([call.name, call.arguments, text])
        facts, done = dict(told.get("metadata") or {}), bool(told.get("done"))
        if done:
            facts["success"] = bool(facts.get("success", self._total >= self.settings.success_at))
        return Observation(answers(action, call, text), reward, done, state, facts)

    def close(self) -> None:
        """Also while a step waits for the server: its answer is then given up."""
        self._closed = True
        if self._socket is not None:
            with suppress(Exception):
                self._socket.send('{"type": "close"}')
            self._socket.close()

    def _wire(self, call: Call) -> dict[str, Any]:
        if _calls_tools(self.act):
            return {"type": "call_tool", "tool_name": call.name, "arguments": call.arguments}
        return call.arguments

    def _offered(self) -> list[Tool]:
        told = self._ask("step", {"type": "list_tools"})
        described = told.get("observation", {}).get("tools") or []
        if not described:
            raise InfraError(f"{self.settings.url} offers no tool ({told.get('error', 'an empty list')}).")
        functions = [{**tool, "parameters": tool["input_schema"]} for tool in described]
        return [
            {"type": "function", "function": {key: f[key] for key in ("name", "description", "parameters")}}
            for f in functions
        ]

    def _ask(self, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        """The answer's data, or `{"error"}` with what the server says against the request."""
        from websockets.exceptions import ConnectionClosed, WebSocketException

        try:
            with suppress(ConnectionClosed):  # who refuses says why before closing, and that is yet to be read
                self._socket.send(json.dumps({"type": kind, "data": data}))
            answer = json.loads(self._socket.recv(timeout=self.settings.seconds))
            told = answer["data"]
            if answer["type"] != "error":
                told["observation"].get("metadata")
                return told
            if told.get("code") in ("VALIDATION_ERROR", "EXECUTION_ERROR"):
                return {"error": str(told.get("message"))[:500]}
            raise InfraError(f"{self.settings.url}: {told.get('message')} ({told.get('code')})")
        except (OSError, TimeoutError, WebSocketException) as error:
            raise InfraError(f"{self.settings.url} gives no answer to {kind}: {error or 'time is up'}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InfraError(f"{self.settings.url} answers {kind} in another form than OpenEnv's.") from error

    def _shown(self, observation: dict[str, Any]) -> str:
        """The one text of an observation, or else its fields as JSON; of a call its result."""
        messages = observation.get("messages")
        if isinstance(messages, list):
            return "\n".join(str(message.get("content")) for message in messages)[: self.settings.max_chars]
        seen = {name: value for name, value in observation.items() if name not in UNSEEN and value not in (None, "")}
        if "result" in seen or "error" in seen:
            seen = {"result": seen.get("error", seen.get("result"))}
        [only] = seen.values() if len(seen) == 1 else [seen]
        text = only if isinstance(only, str) else json.dumps(only, ensure_ascii=False) if seen else ""
        return text[: self.settings.max_chars]


def _connect(settings: Openenv) -> Any:
    try:
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect
    except ImportError:
        raise UserError("env=openenv needs websockets: pip install 'agenttrain[openenv]'.") from None
    try:
        where = f"ws{settings.url.removeprefix('http')}/ws"
        return connect(where, open_timeout=settings.seconds, close_timeout=1.0, max_size=4_000_000)
    except (OSError, TimeoutError, WebSocketException) as error:
        raise InfraError(f"{settings.url} cannot be reached: {error}") from error


def _schema(url: str, seconds: float) -> dict[str, Any]:
    """JSON schema of the server's action."""
    try:
        with urlopen(f"{url}/schema", timeout=seconds) as answer:
            schema = json.load(answer)["action"]
            schema.get("properties")
            return schema
    except (OSError, TimeoutError) as error:
        raise InfraError(f"{url}/schema gives no answer: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"env.url={url} is no OpenEnv server: its /schema describes no action.") from None


def _act(schema: dict[str, Any]) -> Tool:
    fields = {name: _typed(kind) for name, kind in schema.get("properties", {}).items() if name != "metadata"}
    parameters = {"type": "object", "properties": fields, "additionalProperties": False}
    parameters["required"] = [name for name in schema.get("required", []) if name in fields]
    said = " ".join(str(schema.get("description") or "Take an action.").split())[:300]
    return {"type": "function", "function": {"name": "act", "description": said, "parameters": parameters}}


def _calls_tools(act: Tool) -> bool:
    fields = act["function"]["parameters"]["properties"]
    return not fields or {"tool_name", "arguments"} <= fields.keys()


def _typed(kind: dict[str, Any]) -> dict[str, Any]:
    """A field as our reader of calls knows it: `anyOf` of plain types becomes a list of types."""
    choices = [choice["type"] for choice in kind.get("anyOf", []) if isinstance(choice.get("type"), str)]
    return {**{k: v for k, v in kind.items() if k != "anyOf"}, "type": choices} if choices else kind
