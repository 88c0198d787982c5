"""Text that others wrote -> text that is safe to show: what a tool answered must not steer a person's terminal."""

from __future__ import annotations

import re

_STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""The text with every control character but tab and line feed, and every change of direction, as `\x1b`."""
    return _STEERS.sub(lambda found: ascii(found[0])[1:-1], text)
