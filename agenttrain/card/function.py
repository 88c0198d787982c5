"""Source of a reward function, trajectory -> one score per turn. The function runs in the sandbox and nowhere else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from agenttrain.card.source import NAME
from agenttrain.sandbox import wire
from agenttrain.sandbox.process import Ended, Process
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.types import InfraError, Trajectory


def plain(trajectory: Trajectory) -> dict[str, Any]:
    """What a reward function is given: what was said and done, and nothing of what the environment verified.

    No answer, no data of the task, no success, no reward. Of the facts about a turn it has the two that the agent is
    told itself, `invalid_call` and `tool_error` (text or None).
    """
    return {
        "messages": trajectory.messages,
        "tools": trajectory.tools,
        "stop": trajectory.stop,
        "turns": [
            {
                "action": turn.action.message,
                "finish": turn.action.finish,
                "observation": turn.observation.messages,
                "invalid_call": turn.observation.feedback.get("invalid_call"),
                "tool_error": turn.observation.feedback.get("tool_error"),
            }
            for turn in trajectory.turns
        ],
    }


def fits(trajectory: Trajectory) -> bool:
    """Whether it is small enough for the sandbox to be handed it; of one that is not, no function can be blamed."""
    try:
        wire.pack(_question(trajectory))
    except (ValueError, TypeError):
        return False
    return True


def _question(trajectory: Trajectory) -> dict[str, Any]:
    return {"call": NAME, "arguments": [wire.encode(plain(trajectory))]}


@dataclass
class RewardFunction:
    """A source's `reward`, called in a fresh process for each trajectory: no call can remember another.

    Args:
        seconds: for one trajectory.
    """

    source: str
    sandbox: Sandbox
    seconds: float

    def __call__(self, trajectory: Trajectory) -> list[float]:
        """
        Raises:
            ValueError: it raised, took too long, or gave something else than one finite number per turn.
            InfraError: the sandbox has failed, or the trajectory is too large for it; the function is not to blame.
            UserError: nothing on this machine can hold it.
        """
        if not fits(trajectory):
            raise InfraError(f"the trajectory has more than the {wire.LARGEST >> 20} MB that the sandbox takes")
        process = Process(self.sandbox, kept=0)
        try:
            self._ask(process, {"define": self.source})
            answer = self._ask(process, _question(trajectory))
        finally:
            process.end()
        try:
            value = wire.decode(answer.get("value"))
        except (ValueError, RecursionError):
            value = None
        return _checked(value, len(trajectory.turns))

    def _ask(self, process: Process, frame: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = process.ask(frame, self.seconds)
        except Ended as ended:
            raise ValueError(f"took longer than {self.seconds:g} s" if ended.late else "ended its process") from None
        if "exception" in answer:
            raise ValueError(f"raised {str(answer['exception'])[:100]}")
        return answer


def _checked(value: Any, turns: int) -> list[float]:
    if not isinstance(value, list) or not all(isinstance(score, int | float) for score in value):
        raise ValueError("gave no list of numbers")
    if len(value) != turns:
        raise ValueError(f"gave {len(value)} scores for {turns} turns")
    try:
        scores = [float(score) for score in value]
    except OverflowError:
        scores = [math.inf]
    if not math.isfinite(sum(scores)):
        raise ValueError("gave scores that are not finite, or whose sum is not")
    return scores
