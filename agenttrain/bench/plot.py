"""Findings -> a picture: for each process one column, for each strategy one line, once for bias and once for noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from agenttrain.bench.report import Row

LABEL, COLUMN, GAP, LINE, HEAD = 112, 156, 28, 22, 46
"""Pixels: width of the strategies' names, of a process, between two; height of a strategy, of what stands above."""
COLOURS = {
    "unbiased": "#1b7f5c",
    "unbiased up to scale": "#2f6fb3",
    "right sign": "#8db4da",
    "biased": "#d1541f",
    "open": "#8a8f98",
}
STYLE = (
    "text{font:12px system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif;fill:#24292f}"
    ".small{font-size:11px;fill:#57606a}.head{font-weight:600}.grid{stroke:#e3e6e9}.line{stroke:#f1f2f4}"
)
TITLES = ("bias: degrees between mean estimate and exact gradient", "noise: episodes that a step needs, see below")


def svg(rows: Sequence[Row]) -> str:
    """The whole picture as the text of an SVG file."""
    processes = list(dict.fromkeys(row.process for row in rows))
    strategies = list(dict.fromkeys(row.credit for row in rows))
    block = HEAD + LINE * len(strategies) + 34
    width, height = LABEL + (COLUMN + GAP) * len(processes), 2 * block + 44
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>Bias and noise of strategies of credit</title><style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    angles = _Axis.of_angles(rows)
    for number, title in enumerate(TITLES):
        top = 8 + number * block
        parts.append(_text(LABEL, top + 14, title, "head"))
        for line, strategy in enumerate(strategies):
            parts.append(_text(LABEL - 12, top + HEAD + LINE * (line + 0.5) + 4, strategy, anchor="end"))
        for column, process in enumerate(processes):
            left, here = LABEL + column * (COLUMN + GAP), [row for row in rows if row.process == process]
            parts.append(_text(left, top + HEAD - 10, process, "small"))
            axis = angles if number == 0 else _Axis.of_noises(here)
            parts += _grid(left, top + HEAD, len(strategies), axis)
            parts += _marks(left, top + HEAD, strategies, here, axis)
    parts += _legend(sorted({row.group_size for row in rows}), height - 24)
    return "\n".join([*parts, "</svg>"]) + "\n"


@dataclass(frozen=True)
class _Axis:
    """Where a figure stands in its column: linear for angles, logarithmic for noise."""

    low: float
    high: float
    ticks: list[float]
    noise: bool

    @classmethod
    def of_angles(cls, rows: Sequence[Row]) -> _Axis:
        widest = max((row.finding.angle.high for row in rows if row.finding.angle), default=0.0)
        limit = next((limit for limit in (15, 30, 45, 90) if widest <= limit), 180)
        return cls(0, limit, [0, limit / 3, 2 * limit / 3, limit], noise=False)

    @classmethod
    def of_noises(cls, rows: Sequence[Row]) -> _Axis:
        found = [row.finding.noise for row in rows if row.finding.noise] or [1.0]
        low, high = min(found) / 1.3, max(found) * 1.3
        steps = [10.0**power * digit for power in range(-6, 9) for digit in (1, 2, 5)]
        return cls(low, high, [step for step in steps if low <= step <= high], noise=True)

    def place(self, figure: float) -> float:
        """Pixels from the left edge of the column."""
        if self.noise:
            return COLUMN * math.log(figure / self.low) / math.log(self.high / self.low)
        return COLUMN * (figure - self.low) / (self.high - self.low)


def _grid(left: float, top: float, lines: int, axis: _Axis) -> Iterator[str]:
    for line in range(lines):
        yield f'<path class="line" d="M{left} {top + LINE * (line + 0.5)}h{COLUMN}"/>'
    for tick in axis.ticks:
        x = left + axis.place(tick)
        yield f'<path class="grid" d="M{x:.1f} {top}v{LINE * lines}"/>'
        yield _text(x, top + LINE * lines + 14, f"{tick:g}", "small", "middle")


def _marks(left: float, top: float, strategies: Sequence[str], rows: Sequence[Row], axis: _Axis) -> Iterator[str]:
    sizes = sorted({row.group_size for row in rows})
    for row in rows:
        rank, angle, noise = sizes.index(row.group_size), row.finding.angle, row.finding.noise
        y = top + LINE * (strategies.index(row.credit) + 0.5) + 5 * (rank - (len(sizes) - 1) / 2)
        colour = COLOURS.get(row.finding.verdict, COLOURS["biased"])
        figure = noise if axis.noise else angle.value if angle else None
        if figure is None:
            yield _cross(left + COLUMN, y, colour)
            continue
        if angle and not axis.noise:
            ends = (left + axis.place(angle.low), left + axis.place(angle.high))
            yield f'<path d="M{ends[0]:.1f} {y:.1f}H{ends[1]:.1f}" stroke="{colour}"/>'
        yield _dot(left + axis.place(figure), y, rank, colour)


def _legend(sizes: Sequence[int], y: float) -> Iterator[str]:
    x: float = LABEL
    for verdict, colour in COLOURS.items():
        yield _dot(x + 4, y, 3, colour) + _text(x + 13, y + 4, verdict, "small")
        x += 34 + 6 * len(verdict)
    yield _cross(x + 4, y, COLOURS["biased"]) + _text(x + 13, y + 4, "no gradient left", "small")
    x += 130
    for rank, size in enumerate(sizes):
        text = f"{size} attempts" if rank == len(sizes) - 1 else str(size)
        yield _dot(x + 4, y, rank, "#57606a") + _text(x + 12, y + 4, text, "small")
        x += 24 + 6 * len(text)


def _dot(x: float, y: float, rank: int, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{2 + 0.7 * rank:.1f}" fill="{colour}"/>'


def _cross(x: float, y: float, colour: str) -> str:
    return f'<path d="M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6" stroke="{colour}" stroke-width="1.5"/>'


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(text)}</text>'
