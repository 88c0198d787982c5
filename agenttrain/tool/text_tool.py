"""What every tool of plain text is: a name, how its calls are found in a corpus, and an argument -> result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from agenttrain.ranges import Count, Share


@dataclass(frozen=True, kw_only=True)
class TextTool(ABC):
    """A tool, and the numbers by which its calls are sampled and filtered (arXiv 2302.04761, appendix A).

    Args:
        tau_s: a call may be sampled where it would open with more than this probability.
        k: most positions of a text, the likeliest first.
        m: calls sampled at each position.
        tau_f: nats that a call must save to be kept.
    """

    name: ClassVar[str]
    """As it is written in a call."""
    task: ClassVar[str]
    """What the few-shot prompt asks for."""
    examples: ClassVar[tuple[str, ...]]
    """Texts with calls in them, for the prompt; `[Name(argument)]` where a call stands."""

    tau_s: Share = 0.05
    k: Count = 5
    m: Count = 5
    tau_f: float = 1.0

    @abstractmethod
    def run(self, argument: str, today: date) -> str | None:
        """The result, or None where there is none: the argument is malformed, or nothing was found.

        `today` is the day on which the text is read; no tool looks at a clock of its own.
        """
