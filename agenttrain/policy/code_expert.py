"""Observation -> Action: writes the program that the invented tasks of env=code say, tries it, submits it."""

from __future__ import annotations

import re

from agenttrain.errors import UserError
from agenttrain.policy.scripted import Scripted, call, dice
from agenttrain.ranges import Share
from agenttrain.types import Conversation, Message
from agenttrain.worlds import list_steps
from agenttrain.worlds.list_steps import Step


class CodeExpert(Scripted):
    """Two turns: `python` with the program and the example, `submit` with the program.

    Args:
        error: probability per turn, 0 to 1, of a mistake: a step of the program is left out.
    """

    calls = frozenset({"python", "submit"})

    def __init__(self, error: Share = 0.0) -> None:
        super().__init__()
        self.error = error

    def act(self, conversation: Conversation) -> Message:
        """
        Raises:
            UserError: the task is none of the invented ones.
        """
        text = next(message["content"] for message in conversation.messages if message["role"] == "user")
        steps, example = read_task(text)
        random = dice(conversation)
        if random.random() < self.error:
            steps.pop(random.randrange(len(steps)))
        if conversation.turn == 0:
            return call(conversation, "python", code=f"{list_steps.program(steps)}\n{example}")
        return call(conversation, "submit", code=list_steps.program(steps))


def read_task(text: str) -> tuple[list[Step], str]:
    """The steps, and the call that the example shows."""
    steps = [list_steps.read(sentence) for sentence in re.findall(r"^\d+\. (.+)$", text, re.MULTILINE)]
    example = re.search(r"^Example: (solve\(.*\)) returns", text, re.MULTILINE)
    known = [step for step in steps if step is not None]
    if example is None or len(known) < len(steps) or not steps:
        raise UserError("policy=code_expert reads only the invented tasks of task=code, not a file's.")
    return known, example[1]
