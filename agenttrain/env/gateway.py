"""Between a policy and a service, by option: requests that fail, and a limit to their rate, counted in turns."""

from __future__ import annotations

import random
from collections import deque

from agenttrain.backend.backend import Reply
from agenttrain.env.tools import tool
from agenttrain.types import Tool

WAIT: Tool = tool("wait", "Let turns pass.", turns={"type": "integer", "minimum": 1, "maximum": 100})


class Gateway:
    """What it refuses never reaches the service.

    Args:
        faults: share of requests, 0 to 1, answered by 500 or, as often, by 504.
        limit: requests that are let through in any `window` turns, or None; one more is answered by 429 with
            `Retry-After` in turns.
    """

    def __init__(self, faults: float, limit: int | None, window: int, seed: int) -> None:
        self.faults, self.limit, self.window = faults, limit, window
        self.turn = 0
        self._rng = random.Random(seed)
        self._let: deque[int] = deque(maxlen=limit)
        """Turns of the latest requests that were let through."""

    @property
    def tools(self) -> list[Tool]:
        return [WAIT] if self.limit else []

    def refusal(self) -> Reply | None:
        """The answer to a request that goes no further, or None."""
        if self.limit and len(self._let) == self.limit and self.turn - self._let[0] < self.window:
            left = self._let[0] + self.window - self.turn
            return refused(429, f"Too Many Requests\nRetry-After: {left} turn{'s' if left > 1 else ''}")
        self._let.append(self.turn)
        if self._rng.random() < self.faults:
            return refused(*self._rng.choice(((500, "Internal Server Error"), (504, "Gateway Timeout"))))
        return None


def refused(status: int, text: str) -> Reply:
    """An answer of the gateway's own."""
    reason = f"{status} {text.splitlines()[0]}"
    return Reply(f"{status} {text}", {"status": status, "tool_error": reason, "refused": True})
