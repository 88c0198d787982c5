"""One confined process, seen from outside: ask it something within a time, keep what it prints, end it."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from typing import Any

from agenttrain.sandbox import wire
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.types import InfraError


class Ended(Exception):
    """The process is gone: it was out of time, or it left by itself or by force, or it spoke nonsense."""

    def __init__(self, late: bool) -> None:
        super().__init__()
        self.late = late


class Process:
    """A worker, from its fork to its end.

    Args:
        kept: most bytes of output that are kept between two `output`, of its beginning and its end in equal parts.
    """

    def __init__(self, sandbox: Sandbox, seed: int = 0, kept: int = 20_000) -> None:
        self._sandbox, self._half = sandbox, kept // 2
        self._head, self._tail, self._left_out = bytearray(), bytearray(), 0
        self._frames = bytearray()
        self._stream, theirs = socket.socketpair()
        self._printed, printing = os.pipe()
        os.set_blocking(self._printed, False)
        self._code: int | None = None
        self._ending = threading.Lock()
        try:
            self._number = sandbox.start(seed, theirs, printing)
        except BaseException:
            self._release()
            raise
        finally:
            theirs.close()
            os.close(printing)
        self._await_ready()

    def _await_ready(self) -> None:
        try:
            fault = self.receive(time.monotonic() + 20).get("error")
        except Ended:
            fault = "no answer"
        if fault is not None:
            self.end()
            raise InfraError(f"the sandbox started no process: {fault}")

    def ask(self, frame: dict[str, Any], seconds: float) -> dict[str, Any]:
        """
        Raises:
            Ended: no answer came in time, or none will come.
            ValueError: the question is too large.
        """
        deadline = time.monotonic() + seconds
        self.send(frame, seconds)
        return self.receive(deadline)

    def send(self, frame: dict[str, Any], seconds: float) -> None:
        """
        Raises:
            Ended, ValueError: as `ask`.
        """
        data = wire.pack(frame)
        self._stream.settimeout(max(seconds, 0.001))
        try:
            self._stream.sendall(data)
        except OSError as error:
            raise Ended(late=isinstance(error, TimeoutError)) from None

    def receive(self, deadline: float) -> dict[str, Any]:
        """The next frame, whatever is printed meanwhile being kept.

        Raises:
            Ended: it did not come until `deadline` (of the monotonic clock), or there is none.
        """
        waiting = select.poll()
        for descriptor in (self._stream.fileno(), self._printed):
            waiting.register(descriptor, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Ended(late=True)
            ready = {descriptor for descriptor, _ in waiting.poll(left * 1000)}
            if self._printed in ready and not self._drain():
                waiting.unregister(self._printed)
            if self._stream.fileno() in ready:
                try:
                    part = self._stream.recv(1 << 18)
                    self._frames += part
                    frame = wire.unpack(self._frames)
                except (OSError, ValueError):
                    raise Ended(late=False) from None
                if not part:
                    raise Ended(late=not self._exits(deadline))
                if frame is not None:
                    self._frames.clear()
                    self._drain()
                    return frame

    def output(self) -> str:
        """What was printed since this was asked last, cut in its middle where it is too long."""
        left_out = f"\n[{self._left_out:,} bytes left out]\n" if self._left_out else ""
        text = self._head.decode(errors="replace") + left_out + self._tail.decode(errors="replace")
        self._head, self._tail, self._left_out = bytearray(), bytearray(), 0
        return text

    def end(self) -> int:
        """Kill it and all it started; its exit code, or minus the signal it died of. Once only.

        Raises:
            InfraError: the sandbox has failed.
        """
        try:
            code = self.kill()
            self._drain()
            return code
        finally:
            self._release()

    def kill(self) -> int:
        """As `end`, while another thread still asks it something: that one learns that it has ended, and is to `end`.

        Raises:
            InfraError: the sandbox has failed.
        """
        with self._ending:
            code = self._end(kill=True)
            assert code is not None
            return code

    def _exits(self, deadline: float) -> bool:
        """Whether it exits by itself; that it has hung up says only that it will not answer."""
        while True:
            with self._ending:
                if self._end(kill=False) is not None:
                    return True
            if time.monotonic() > deadline:
                return False
            self._drain()
            time.sleep(0.001)

    def _end(self, kill: bool) -> int | None:
        if self._code is None:
            try:
                self._code = self._sandbox.end(self._number, kill)
            except InfraError:
                self._code = -9  # all that it forked is dead with it
                raise
        return self._code

    def _release(self) -> None:
        self._stream.close()
        os.close(self._printed)

    def _drain(self) -> bool:
        """Take what is printed, up to a pipe's fill at a time; False at its end."""
        for _ in range(16):
            try:
                part = os.read(self._printed, 1 << 16)
            except BlockingIOError:
                return True
            if not part:
                return False
            room = self._half - len(self._head)
            self._head += part[:room]
            self._tail += part[room:]
            excess = len(self._tail) - self._half
            if excess > 0:
                del self._tail[:excess]
                self._left_out += excess
        return True
