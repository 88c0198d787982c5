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

STRETCH = 4
"""How many times its seconds a question may take by the clock on the wall."""
_SOON = 0.05
"""Seconds after which it is asked whether the machine keeps the process waiting; most answers come before."""


class Ended(Exception):
    """The process is gone: it was out of time, or it left by itself or by force, or it spoke nonsense."""

    def __init__(self, late: bool) -> None:
        super().__init__()
        self.late = late


class Unfinished(InfraError):
    """The machine was too busy for the process to have its own time."""


def blames_machine(own: float, starved: float) -> bool:
    """Of code that is out of time by the clock on the wall: whether it would not have had a third of that time alone.

    A load that code in the sandbox makes is no excuse: where all programs hang, each would be that of the others.

    Args:
        own: seconds that were its own.
        starved: seconds in which it would have waited with no other code in the sandbox.
    """
    return starved > 2 * own


class Process:
    """A worker, from its fork to its end.

    Its own time is that by the clock on the wall, without what the machine made it wait for a core (see `waiting`): so
    a loop, a sleep or a lock uses it up, and a load on the machine does not.

    Args:
        kept: most bytes of output that are kept between two `output`, of its beginning and its end in equal parts.
    """

    left: float
    """Seconds of its own time that it still has for its answers. To be set by whoever asks."""
    own: float
    """Seconds of its own time that its answers have taken."""
    waited: float
    """Seconds that were not its own so far, its start among them."""
    starved: float
    """Of these, what it would have waited with no other code in the sandbox."""

    def __init__(self, sandbox: Sandbox, seed: int = 0, kept: int = 20_000) -> None:
        self._sandbox, self._half = sandbox, kept // 2
        self._head, self._tail, self._left_out = bytearray(), bytearray(), 0
        self._frames = bytearray()
        self._stream, theirs = socket.socketpair()
        self._printed, printing = os.pipe()
        os.set_blocking(self._printed, False)
        self._code: int | None = None
        self._hung_up = False
        self._ending = threading.Lock()
        self.own, began = 0.0, time.monotonic()
        try:
            self._number = sandbox.start(seed, theirs, printing)
        except BaseException:
            self._release()
            raise
        finally:
            theirs.close()
            os.close(printing)
        self._await_ready()
        self.waited = self.starved = time.monotonic() - began

    def _await_ready(self) -> None:
        try:
            fault = (self._frame(time.monotonic() + 20) or {"error": "no answer"}).get("error")
        except Ended:
            fault = "no answer"
        if fault is not None:
            self.end()
            raise InfraError(f"the sandbox started no process: {fault}")

    def ask(self, frame: dict[str, Any], seconds: float) -> dict[str, Any]:
        """
        Args:
            seconds: of its own time; by the clock on the wall up to `STRETCH` times as many.

        Raises:
            Ended: no answer came in time, or none will come.
            ValueError: the question is too large.
            Unfinished: the machine is too busy.
            InfraError: the sandbox has failed.
        """
        self.left, until = seconds, time.monotonic() + STRETCH * seconds
        self.send(frame, seconds)
        return self.receive(until)

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

    def receive(self, until: float) -> dict[str, Any]:
        """The next frame, whatever is printed meanwhile being kept. It takes from what is `left`.

        Raises:
            Ended: it did not come in the time that was left, or there is none.
            Unfinished: it did not come until `until`, by the monotonic clock, and the machine is to blame.
            InfraError: the sandbox has failed.
        """
        began, waits = time.monotonic(), (0.0, 0.0, 0.0)
        left, own, waited, starved = self.left, self.own, self.waited, self.starved
        frame, now = self._frame(min(began + min(left, _SOON), until)), time.monotonic()
        if frame is None:
            self._sandbox.waited(self._number, anew=True)
        while True:
            if frame is None:
                now = max(now, waits[2])  # the answer to that is slow, too, on a busy machine
            took = max(0.0, now - began - waits[0])
            self.left, self.own = left - took, own + took
            self.waited, self.starved = waited + waits[0], starved + waits[1]
            if frame is not None:
                return frame
            if self.left <= 0:
                raise Ended(late=True)
            if now >= until and blames_machine(took, waits[1]):
                raise Unfinished(f"the machine is too busy: of {now - began:.1f} s code had {took:.1f} s")
            if now >= until:
                raise Ended(late=True)
            frame, now = self._frame(min(now + max(self.left, left / 10), until)), time.monotonic()
            waits = self._sandbox.waited(self._number)

    def _frame(self, deadline: float) -> dict[str, Any] | None:
        """The next frame; None if it does not come until then.

        Raises:
            Ended: there is none.
        """
        waiting = select.poll()
        for descriptor in (self._stream.fileno(), self._printed):
            waiting.register(descriptor, select.POLLIN)
        while not self._hung_up:
            left = max(0.0, deadline - time.monotonic())
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
                self._hung_up = not part
                if frame is not None:
                    self._frames.clear()
                    self._drain()
                    return frame
            if not left:
                return None
        return self._await_exit(deadline)

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

    def _await_exit(self, deadline: float) -> None:
        """That it has hung up says only that it will not answer; it may go on.

        Raises:
            Ended: it has exited.
        """
        while time.monotonic() < deadline:
            with self._ending:
                if self._end(kill=False) is not None:
                    raise Ended(late=False)
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
