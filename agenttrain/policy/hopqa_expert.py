"""Observation -> Action: looks up one fact after the other, or errs as often as told."""

from __future__ import annotations

import random
import re

from agenttrain.errors import UserError
from agenttrain.policy.scripted import Scripted, call, dice
from agenttrain.ranges import Share
from agenttrain.types import Conversation, Message

_NAME = r"((?:\w+ )?\w+)"
_FACTS = {
    "author": f"A novel by {_NAME} from",
    "director": f"A film by {_NAME} from",
    "composer": f"A song by {_NAME} from",
    "year": r"from (\d+)",
    "birthplace": f"Born in {_NAME}",
    "employer": f"Works for {_NAME}",
    "seat": f"A company in {_NAME}",
    "founder": f"Founded by {_NAME}",
    "country": f"A city in {_NAME}",
    "river": f"{_NAME} flows through",
    "capital": f"ruled from {_NAME}",
    "currency": f"People pay in {_NAME}",
}
"""How a passage of the invented world words each relation."""


class HopqaExpert(Scripted):
    """Reads the question and the passages shown; searches for the next name of the chain until the last is known.

    Args:
        error: probability per turn, 0 to 1, of a mistake: instead of a search a poor query or a premature answer,
            at the end a wrong answer (a name met on the way).
        thoughts: say in a few words why, before each call.
    """

    def __init__(self, error: Share = 0.0, thoughts: bool = False) -> None:
        super().__init__()
        self.error, self.thoughts = error, thoughts

    def act(self, conversation: Conversation) -> Message:
        """
        Raises:
            UserError: the question is none of the invented world's.
        """
        question = next(message["content"] for message in conversation.messages if message["role"] == "user")
        subject, relations = read_question(question)
        names = follow(subject, relations, conversation.messages)
        missing, chance = relations[len(names) - 1 :], dice(conversation)
        if chance.random() < self.error:
            message = _mistake(conversation, names, missing, chance)
        elif missing:
            message = call(conversation, "search", query=names[-1])
        else:
            message = call(conversation, "finish", answer=names[-1])
        if self.thoughts and missing:
            message["content"] = f"I need the {missing[0]} of {names[-1]}."
        elif self.thoughts:
            message["content"] = f"The {relations[-1]} of {names[-2]} is {names[-1]}."
        return message


def _mistake(conversation: Conversation, names: list[str], missing: list[str], chance: random.Random) -> Message:
    if not missing:
        return call(conversation, "finish", answer=chance.choice(names[:-1]))
    if chance.random() < 0.5:
        return call(conversation, "finish", answer=names[-1])
    first, _, rest = names[-1].partition(" ")  # a first word is part of other names too, a relation is part of none
    return call(conversation, "search", query=first if rest and chance.random() < 0.5 else missing[0])


def read_question(question: str) -> tuple[str, list[str]]:
    """The subject, and the relations to follow from it, first to last."""
    match = re.fullmatch(r"(?:What|Who) is the (.+) of (.+)\?", question)
    relations = match[1].split(" of the ")[::-1] if match else []
    if match is None or not set(relations) <= set(_FACTS):
        raise UserError(f"policy=hopqa_expert reads only the invented world's questions, not: {question}")
    return match[2], relations


def follow(subject: str, relations: list[str], messages: list[Message]) -> list[str]:
    """The subject and the names that the passages shown so far lead to, one for each relation as far as they go."""
    shown = [line for message in messages if message["role"] == "tool" for line in message["content"].split("\n")]
    texts = dict(line.split(": ", 1) for line in shown if ": " in line)
    names = [subject]
    for relation in relations:
        fact = re.search(_FACTS[relation], texts.get(names[-1], ""))
        if fact is None:
            break
        names.append(fact[1])
    return names
