"""`` -> `Today is Monday, January 30, 2023.`: the day on which the text is read (arXiv 2302.04761)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from agenttrain.tool.text_tool import TextTool


@dataclass(frozen=True, kw_only=True)
class Calendar(TextTool):
    """Takes no argument, and knows no clock but the one it is given."""

    name: ClassVar[str] = "Calendar"
    task: ClassVar[str] = (
        "Add calls to a calendar to the text wherever the present date helps to write what comes next. "
        'Write "[Calendar()]".'
    )
    examples: ClassVar[tuple[str, ...]] = (
        "Today is the first [Calendar()] Friday of the year.",
        "The president of the country in [Calendar()] 2019 is a woman.",
        "The shop opened on 2 May, [Calendar()] three weeks ago.",
    )

    def run(self, argument: str, today: date) -> str | None:
        """See `TextTool`."""
        return None if argument.strip() else f"Today is {today:%A, %B} {today.day}, {today.year}."
