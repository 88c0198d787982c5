"""Text that others wrote -> text that is safe to show: what a tool answered must not steer a person's terminal."""

from __future__ import annotations

import re

_STEERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    r"""The text with every control character but tab and line feed, every change of direction and every character that
    a model reads and nobody sees (of no width, tags) as `\x1b`. What joins letters and emoji stays."""
    return _STEERS.sub(lambda found: ascii(found[0])[1:-1], text)


def plain(text: str, most: int) -> str:
    """Output of a program as data: `visible`, its ends of line as line feeds, and its middle left out beyond about
    `most` characters."""
    if len(text) > most:
        half = most // 2
        text = f"{text[:half]}\n[{len(text) - 2 * half:,} characters left out]\n{text[-half:]}"
    return visible(text.replace("\r\n", "\n")).rstrip("\n")
