"""Gradients, one per batch -> how far their mean is from the exact one, how noisy they are, and a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

CONFIDENCE = 0.95
"""Of the intervals that are shown."""
WRONG = 0.01
"""Share of whole runs in which an unbiased strategy may be called biased, however many verdicts a run has."""
PRECISE_SCALE = 0.1
"""Largest half width of the scale's interval at which it may be called 1."""
PRECISE_ANGLE = 10.0
"""Largest angle, in degrees, that may remain possible where a direction is called right."""

Verdict = Literal[
    "unbiased",
    "unbiased up to scale",
    "right sign",
    "biased: direction",
    "biased: no gradient",
    "biased: opposite",
    "open",
]


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Finding:
    """What the gradients of one strategy show."""

    scale: Interval
    """The mean's component along the exact gradient, in units of its length: 1 is right, another positive number only
    another step size."""
    angle: Interval | None
    """Between mean and exact gradient, in degrees, freed of what noise alone would give; None where the mean is 0."""
    noise: float | None
    """Episodes in a step at which the noise of its gradient is as long as its component along the exact one; None where
    there is no such component."""
    p: float
    """Probability of so large a component across the exact gradient if there were none (Hotelling's T^2 test)."""
    batches: int
    verdict: Verdict


def judge(gradients: np.ndarray, exact: np.ndarray, episodes: int, verdicts: int = 1) -> Finding:
    """Compare estimates of shape (batches, parameters), from `episodes` episodes each, with the exact gradient.

    `verdicts` is how many are given in the whole run: errors are held to `WRONG` over all of them together.
    """
    count, length = len(gradients), float(np.linalg.norm(exact))
    mean, spread = gradients.mean(axis=0), np.cov(gradients, rowvar=False, ddof=1).reshape(len(exact), -1)
    error = spread / count
    along = float(mean @ exact) / length**2
    along_error = math.sqrt(max(0.0, float(exact @ error @ exact))) / length**2
    across = _Across.of(mean, error, exact)
    p = across.p(count)

    def scale(confidence: float) -> Interval:
        half = _normal(confidence) * along_error
        return Interval(along, along - half, along + half)

    def angle(confidence: float) -> Interval | None:
        if np.abs(mean).max() < 1e-9 * length:  # what rounding leaves of 0 has no direction
            return None
        low, high = (across.length(side * _normal(confidence)) for side in (-1, 1))
        near, far = scale(confidence).high * length, scale(confidence).low * length
        return Interval(_degrees(across.length(), along * length), _degrees(low, near), _degrees(high, far))

    sure = 1 - WRONG / verdicts
    noise = episodes * float(np.trace(spread)) / (along * length) ** 2 if scale(CONFIDENCE).low > 0 else None
    verdict = _verdict(scale(sure), angle(sure), p < 1 - sure, parameters=len(exact))
    return Finding(scale(CONFIDENCE), angle(CONFIDENCE), noise, p, count, verdict)


def _verdict(scale: Interval, angle: Interval | None, turned: bool, parameters: int) -> Verdict:
    if scale.high < 0:
        return "biased: opposite"
    if angle is None or (scale.low <= 0 and scale.high < PRECISE_SCALE):
        return "biased: no gradient"
    if turned:
        return "biased: direction"
    if scale.low <= 0 or angle.high > PRECISE_ANGLE:
        return "open"
    if not scale.low <= 1 <= scale.high:
        return "unbiased up to scale" if parameters > 1 else "right sign"
    return "unbiased" if scale.high - scale.low <= 2 * PRECISE_SCALE else "open"


@dataclass(frozen=True)
class _Across:
    """The part of a mean that stands across the exact gradient, with the covariance of its error."""

    part: np.ndarray
    error: np.ndarray

    @classmethod
    def of(cls, mean: np.ndarray, error: np.ndarray, exact: np.ndarray) -> _Across:
        project = np.eye(len(exact)) - np.outer(exact, exact) / (exact @ exact)
        return cls(project @ mean, project @ error @ project)

    def length(self, z: float = 0.0) -> float:
        """Estimate of the true part's length, `z` standard errors up or down.

        The square of a noisy mean is too long by the trace of its covariance C; the variance of the square is
        2 tr C^2 + 4 m' C m for a normal mean m.
        """
        square = self.part @ self.part - np.trace(self.error)
        deviation = math.sqrt(2 * np.sum(self.error**2) + 4 * max(0.0, self.part @ self.error @ self.part))
        return math.sqrt(max(0.0, square + z * deviation))

    def p(self, batches: int) -> float:
        """Hotelling's T^2: the p-value of "the true part is 0"."""
        from scipy.special import fdtrc

        values, vectors = np.linalg.eigh(self.error)
        kept = values > 1e-10 * max(values[-1], 1e-300)
        rank = int(kept.sum())
        if not rank or batches <= rank:
            return 1.0
        square = float(((vectors.T @ self.part)[kept] ** 2 / values[kept]).sum())
        return float(fdtrc(rank, batches - rank, square * (batches - rank) / (rank * (batches - 1))))


def _normal(confidence: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + confidence / 2))


def _degrees(across: float, along: float) -> float:
    return math.degrees(math.atan2(across, along))
