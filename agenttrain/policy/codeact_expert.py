"""Observation -> Action: answers the invented questions of env=codeact by code, JSON or text; corrects its errors."""

from __future__ import annotations

import json
import random
import re

from agenttrain.errors import UserError
from agenttrain.policy.scripted import Scripted, dice
from agenttrain.ranges import Share
from agenttrain.types import Conversation, Message
from agenttrain.worlds import warehouse
from agenttrain.worlds.warehouse import Question

PROGRAM = """result = 0
for item in {items}:
    result = {fold}(result, {measure}(item))
print(result)"""


class CodeactExpert(Scripted):
    """By code one program, then the answer; else one tool a step. It reads from the system message which is asked for.

    What went wrong is done again, and rightly unless another mistake comes.

    Args:
        error: probability per turn, 0 to 1, of a mistake: a misspelt name, an action without its tags, code that fails
            after it has printed the result, a wrong answer.
    """

    def __init__(self, error: Share = 0.0) -> None:
        super().__init__()
        self.error = error

    def act(self, conversation: Conversation) -> Message:
        """
        Raises:
            UserError: the task is none of the invented ones.
        """
        system, asked, *rest = (str(message["content"]) for message in conversation.messages)
        question = warehouse.read(asked)
        if question is None:
            raise UserError("policy=codeact_expert reads only the invented questions of task=codeact.")
        form = "json" if '"tool"' in system else "code" if "Python" in system else "text"
        failed = bool(rest) and not re.fullmatch(r"Observation:\n\d+\nLeft.*", rest[-1])
        results = [found[1] for text in rest[1::2] if (found := re.match(r"Observation:\n(\d+)\n", text))]
        rng = dice(conversation)
        thought, action = _right(question, form, results)
        if rng.random() < self.error:
            action = _wrong(action, form, rng)
        return {"role": "assistant", "content": f"{'That was wrong. ' if failed else ''}{thought} {action}"}


def _right(question: Question, form: str, results: list[str]) -> tuple[str, str]:
    """The thought and the action that come next, after these results."""
    tool, count, step = warehouse.FOLDS[question.fold], len(question.items), len(results)
    if form == "code" and step == 0:
        code = PROGRAM.format(items=list(question.items), fold=tool, measure=question.measure)
        return f"I need the {question.fold} {question.measure}.", f"<execute>{code}</execute>"
    if form == "code" or step == 2 * count - 1:
        return "That is the answer.", f"<solution>{results[-1]}</solution>"
    if step < count:
        item = question.items[step]
        return f"I need the {question.measure} of {item}.", _call(form, question.measure, item)
    so_far = results[0] if step == count else results[-1]
    return "I take this and the next.", _call(form, tool, int(so_far), int(results[step - count + 1]))


def _call(form: str, tool: str, *arguments: str | int) -> str:
    said = json.dumps({"tool": tool, "args": arguments}) if form == "json" else ", ".join(map(str, (tool, *arguments)))
    return f"<execute>{said}</execute>"


def _wrong(action: str, form: str, rng: random.Random) -> str:
    """The action with a mistake in it."""
    if action.startswith("<solution>"):
        return re.sub(r"\d+", lambda found: str(int(found[0]) + 1), action)
    misspelt = re.sub(rf"\b({'|'.join((*warehouse.MEASURES, *warehouse.FOLDS.values()))})\b", r"get_\1", action)
    untagged = re.sub(r"</?execute>", "", action)
    late = action.replace("</execute>", "\nprint(results)</execute>")
    return rng.choice([misspelt, untagged, late] if form == "code" else [misspelt, untagged])
