"""Call -> an MCP server's tool over stdio: a process for each episode, which ends with it.

The protocol is spoken here rather than through its SDK: a server often lives in an environment of its own (its SDK and
other libraries' pins rule each other out), and a call that hangs must be one that can be left.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from agenttrain.backend.backend import Reply
from agenttrain.errors import UserError, did_you_mean
from agenttrain.types import InfraError, Tool

VERSION = "2025-06-18"
"""Of the protocol; a server answers with the one that it speaks, and tools are alike in all."""
START = 30.0
"""Seconds in which a server must have started, on a busy machine."""
CLOSE = 5.0
"""Seconds in which a call that is under way must have seen that its server is gone."""
MOST = 4_000_000
"""Bytes of one message."""


class McpBackend:
    """`feedback` of a call holds `tool_error` if the server calls its result an error, or does not answer in time.

    Args:
        command: starts the server, word by word.
        seconds: for a call.
        state_tool: tool without arguments that returns the whole state as JSON.
    """

    def __init__(self, command: Sequence[str], seconds: float, state_tool: str | None) -> None:
        self.seconds, self.state_tool, self._stalled = seconds, state_tool, False
        self._server = _Server(command)
        try:
            found = self._server.tools()
            if state_tool is not None and state_tool not in found:
                raise UserError(
                    f"The server has no tool {state_tool!r} (env.state_tool).{did_you_mean(state_tool, found)}"
                )
        except BaseException:
            self.close()
            raise
        self._tools = [_tool(name, about) for name, about in found.items() if name != state_tool]

    @property
    def tools(self) -> list[Tool]:
        return self._tools

    def call(self, name: str, arguments: dict[str, Any]) -> Reply:
        try:
            result = self._server.ask("tools/call", {"name": name, "arguments": arguments}, self.seconds)
        except TimeoutError:
            self._stalled = True
            return Reply("No answer in time.", {"tool_error": "timeout"})
        except _Refused as error:
            return Reply(f"Error: {error}", {"tool_error": str(error)[:200]})
        text = "\n".join(part.get("text", f"[{part.get('type')}]") for part in result.get("content", []))
        return Reply(text, {"tool_error": text[:200] or "error"} if result.get("isError") else {})

    def key(self) -> str:
        return ""

    def state(self) -> Any:
        if self.state_tool is None:
            return None
        stalled, reply = self._stalled, self.call(self.state_tool, {})
        if "tool_error" in reply.facts:
            if stalled:  # by the policy's own call: a state like no other, and no failure of the surroundings
                return reply.text
            raise InfraError(f"the MCP server does not tell its state: {reply.facts['tool_error']}")
        try:
            return json.loads(reply.text)
        except ValueError:
            return reply.text

    def close(self) -> None:
        self._server.close()


class _Refused(Exception):
    """The server answered with an error of the protocol."""


class _Server:
    """JSON-RPC, a message a line, with a process that is killed with all it started."""

    def __init__(self, command: Sequence[str]) -> None:
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us, and a signal to the group reaches its children
            )
        except FileNotFoundError:
            raise UserError(f"env.mcp: there is no program {command[0]!r}.") from None
        except OSError as error:
            raise InfraError(f"the MCP server does not start: {error}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self._command, self._number, self._read = " ".join(command), 0, b""
        self._asking = threading.Lock()

    def tools(self) -> dict[str, dict[str, Any]]:
        """Shake hands; the tools by name.

        Raises:
            InfraError: there is no server at the other end.
        """
        about = {"name": "agenttrain", "version": "1"}
        hello = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": about}
        found: dict[str, dict[str, Any]] = {}
        try:
            self.ask("initialize", hello, START)
            self._send({"method": "notifications/initialized"}, monotonic() + START)
            page: dict[str, Any] = {}
            while True:
                answer = self.ask("tools/list", page, START)
                found |= {tool["name"]: tool for tool in answer["tools"]}
                if not answer.get("nextCursor"):
                    return found
                page = {"cursor": answer["nextCursor"]}
        except (TimeoutError, _Refused, KeyError) as error:
            raise InfraError(f"no MCP server answers. Run it by hand to see why: {self._command} ({error})") from error

    def ask(self, method: str, parameters: dict[str, Any], seconds: float) -> dict[str, Any]:
        """
        Raises:
            TimeoutError: no answer in time; a late one will be passed over.
            InfraError: the server has ended.
        """
        with self._asking:
            return self._ask(method, parameters, monotonic() + seconds)

    def _ask(self, method: str, parameters: dict[str, Any], deadline: float) -> dict[str, Any]:
        self._number += 1
        self._send({"id": self._number, "method": method, "params": parameters}, deadline)
        while True:
            message = self._receive(deadline)
            if "method" in message and "id" in message:  # it asks us, who offer nothing
                refusal = {"error": {"code": -32601, "message": "not offered"}}
                answer = {"result": {}} if message["method"] == "ping" else refusal
                self._send({"id": message["id"], **answer}, deadline)
            elif message.get("id") == self._number and "error" in message:
                raise _Refused(str(message["error"].get("message")))
            elif message.get("id") == self._number and isinstance(message.get("result"), dict):
                return message["result"]

    def close(self) -> None:
        """Returns when the server is gone."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        # Whoever waits for an answer now reads the end; the descriptors must be theirs until then.
        free = self._asking.acquire(timeout=CLOSE)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        if free:
            self._asking.release()

    def _send(self, message: dict[str, Any], deadline: float) -> None:
        line = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        while line:
            self._wait(self._in, select.POLLOUT, deadline)
            try:
                line = line[os.write(self._in, line) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise InfraError(f"the MCP server has ended: {self._command}") from error

    def _receive(self, deadline: float) -> dict[str, Any]:
        """The next message; what is none (a stray print) is passed over."""
        while True:
            line, newline, rest = self._read.partition(b"\n")
            if newline:
                self._read = rest
                with suppress(ValueError):
                    if isinstance(message := json.loads(line), dict):
                        return message
                continue
            self._wait(self._out, select.POLLIN, deadline)
            part = os.read(self._out, 65_536)
            self._read += part
            if not part or len(self._read) > MOST:
                raise InfraError(f"the MCP server {'says too much' if part else 'has ended'}: {self._command}")

    def _wait(self, descriptor: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        if not poll.poll(max(0.0, deadline - monotonic()) * 1000):
            raise TimeoutError


def _tool(name: str, about: dict[str, Any]) -> Tool:
    schema = {"type": "object", "properties": {}, **about.get("inputSchema", {})}
    function = {"name": name, "description": about.get("description") or name, "parameters": schema}
    return {"type": "function", "function": function}
