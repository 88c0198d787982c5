"""Environment -> an OpenEnv server (protocol of openenv 0.10), for trainers of others: `agenttrain env serve`.

An episode lives on a WebSocket, one for each connection. Nothing of a task's answer or data leaves this process.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from agenttrain.types import Environment, Episode, Message, Observation, Task

Sent = dict[str, Any]

_OBJECT = {"type": "object"}
_ACTION = {
    "title": "CallToolAction",
    "type": "object",
    "properties": {
        "type": {"type": "string", "const": "call_tool", "default": "call_tool"},
        "tool_name": {"type": "string", "description": "Name of the tool to call"},
        "arguments": {"type": "object", "description": "Arguments to pass to the tool"},
    },
    "required": ["tool_name"],
}
_MESSAGES = {"type": "object", "properties": {"messages": {"type": "array", "items": _OBJECT}}}
_STATE = {"type": "object", "properties": {"episode_id": {"type": "string"}, "step_count": {"type": "integer"}}}
_PATHS = {"/reset": "post", "/step": "post", "/state": "get", "/schema": "get", "/metadata": "get", "/health": "get"}
_ELSEWHERE = "An episode lives on a WebSocket: connect to /ws and send reset, then step."


class Served:
    """An environment and its tasks, behind OpenEnv's routes.

    Args:
        name: of the environment.
        tasks: `reset` plays the one whose id is `task`, else that of number `seed` (counted round), else the next.
        sessions: connections at once; a further one is refused as CAPACITY_REACHED.
        seconds: for a reset or a step; then its session ends.
    """

    def __init__(self, name: str, env: Environment, tasks: Sequence[Task], sessions: int, seconds: float) -> None:
        self.name, self.env, self.tasks = name, env, tasks
        self.sessions, self.seconds = sessions, seconds
        self.open = 0
        self._next = itertools.count()
        self._named = {task.id: task for task in tasks}

    def app(self) -> Starlette:
        """The ASGI application."""
        told = {
            "/health": {"status": "healthy"},
            "/metadata": {"name": self.name, "description": f"agenttrain's env={self.name}, {len(self.tasks)} tasks"},
            "/schema": {"action": _ACTION, "observation": _MESSAGES, "state": _STATE},
            "/openapi.json": self._openapi(),
            "/state": {"episode_id": None, "step_count": 0},
        }
        routes = [Route(path, _say(content)) for path, content in told.items()]
        routes += [Route(path, _say({"detail": _ELSEWHERE}, 409), methods=["POST"]) for path in ("/reset", "/step")]
        rpc = {"jsonrpc": "2.0", "id": None, "error": {"code": -32601, "message": _ELSEWHERE}}
        return Starlette(
            routes=[*routes, Route("/mcp", _say(rpc), methods=["POST"]), WebSocketRoute("/ws", self._talk)]
        )

    def task(self, wanted: Sent) -> Task:
        """
        Raises:
            KeyError: no task has the id asked for.
        """
        if "task" in wanted:
            return self._named[str(wanted["task"])]
        seed = wanted.get("seed")
        return self.tasks[(next(self._next) if seed is None else int(seed)) % len(self.tasks)]

    async def _talk(self, socket: WebSocket) -> None:
        await socket.accept()
        if self.open >= self.sessions:
            await socket.send_json(_error(f"{self.sessions} sessions are open", "CAPACITY_REACHED"))
            await socket.close()
            return
        self.open += 1
        session = _Session(self)
        try:
            while (answer := await session.answer(await socket.receive_text())) is not None:
                await socket.send_json(answer)
            await socket.close()
        except (WebSocketDisconnect, RuntimeError):  # whoever was there is gone
            pass
        finally:
            self.open -= 1
            await session.end()

    def _openapi(self) -> Sent:
        answer = {"responses": {"200": {"description": "OK"}}}
        paths = {path: {method: {"summary": path.strip("/"), **answer}} for path, method in _PATHS.items()}
        about = {"title": f"agenttrain env={self.name}", "version": version("agenttrain")}
        return {"openapi": "3.1.0", "info": about, "paths": paths}


class _Session:
    """One connection: at most one episode at a time."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.episode: Episode | None = None
        self.id, self.steps, self.done = "", 0, False

    async def answer(self, text: str) -> Sent | None:
        """The answer to one message; None for `close`."""
        try:
            message = json.loads(text)
            kind, data = message["type"], message.get("data") or {}
            data.items()
        except (ValueError, KeyError, TypeError, AttributeError):
            return _error("a message is a JSON object with a type and data", "INVALID_JSON")
        if kind == "close":
            return None
        if kind == "state":
            return {"type": "state", "data": {"episode_id": self.id, "step_count": self.steps}}
        if kind not in ("reset", "step"):
            return _error(f"no message of type {kind!r}", "UNKNOWN_TYPE")
        try:
            told = await (self._reset(data) if kind == "reset" else self._step(data))
            return {"type": "observation", "data": told}
        except (KeyError, TypeError, ValueError) as error:
            return _error(f"{type(error).__name__}: {error}", "VALIDATION_ERROR")
        except Exception as error:
            await self.end()
            return _error(f"{type(error).__name__}: {error}" if str(error) else "time is up", "EXECUTION_ERROR")

    async def end(self) -> None:
        """Closes the episode, if there is one."""
        episode, self.episode = self.episode, None
        if episode is not None:
            await asyncio.wait([_in_thread(episode.close)], timeout=self.served.seconds)

    async def _reset(self, data: Sent) -> Sent:
        task, seed = self.served.task(data), int(data.get("seed") or 0)
        await self.end()
        self.id, self.steps, self.done = str(data.get("episode_id") or secrets.token_hex(8)), 0, False
        made = await asyncio.wait_for(_in_thread(lambda: self.served.env.episode(task, seed)), self.served.seconds)
        self.episode = made
        opening = await asyncio.wait_for(_in_thread(made.start), self.served.seconds)
        return {"observation": {"messages": opening, "tools": _listed(made)}, "reward": None, "done": False}

    async def _step(self, data: Sent) -> Sent:
        if self.episode is None:
            raise ValueError("reset comes before step")
        if data.get("type") == "list_tools":
            return {"observation": {"tools": _listed(self.episode)}, "reward": None, "done": self.done}
        if self.done:
            raise ValueError("the episode is over; reset starts another")
        function = {"name": str(data["tool_name"]), "arguments": data.get("arguments") or {}}
        call = {"type": "function", "id": f"call_{self.steps}", "function": function}
        action: Message = {"role": "assistant", "content": "", "tool_calls": [call]}
        step = self.episode.step
        seen: Observation = await asyncio.wait_for(_in_thread(lambda: step(action)), self.served.seconds)
        self.steps, self.done = self.steps + 1, seen.done
        result = "\n".join(str(message.get("content")) for message in seen.messages)
        observation = {"tool_name": function["name"], "result": result, "metadata": seen.feedback}
        return {"observation": observation, "reward": seen.reward, "done": seen.done, "metadata": seen.feedback}


def _listed(episode: Episode) -> list[Sent]:
    functions = [tool["function"] for tool in episode.tools]
    return [
        {"name": f["name"], "description": f.get("description", ""), "input_schema": f.get("parameters", _OBJECT)}
        for f in functions
    ]


def _in_thread(call: Callable[[], Any]) -> asyncio.Future[Any]:
    """The call on a daemon thread: one that hangs holds up neither the others nor the end of the program."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if not future.done():
            future.set_result(result) if error is None else future.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = call()
        except Exception as raised:
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True, name="served").start()
    return future


def _say(content: Sent, status: int = 200) -> Callable[[Request], Response]:
    return lambda request: JSONResponse(content, status)


def _error(message: str, code: str) -> Sent:
    return {"type": "error", "data": {"message": message[:500], "code": code}}
