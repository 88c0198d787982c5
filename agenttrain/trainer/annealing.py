"""Step of a run -> how widely it samples. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Anneal = Literal["linear", "cosine"]


@dataclass(frozen=True)
class Sampling:
    """What a policy samples by."""

    temperature: float
    top_p: float


@dataclass(frozen=True)
class Annealing:
    """From one way to sample to another over `steps`: along a line, or slowly at both ends (half a cosine)."""

    start: Sampling
    end: Sampling
    steps: int
    form: Anneal = "linear"

    def at(self, step: int) -> Sampling:
        """In a step, from 0 to `steps` - 1."""
        done = step / max(self.steps - 1, 1)
        if self.form == "cosine":
            done = (1 - math.cos(math.pi * done)) / 2
        pairs = ((self.start.temperature, self.end.temperature), (self.start.top_p, self.end.top_p))
        return Sampling(*((1 - done) * start + done * end for start, end in pairs))
