"""Observation -> Action: searches for a name, reads its passage, and so on to the answer; errs as often as told."""

from __future__ import annotations

import random
import re

from agenttrain.errors import UserError
from agenttrain.policy.scripted import Scripted, call, dice
from agenttrain.ranges import Share
from agenttrain.types import Conversation, Message

_FACTS = {
    "birthplace": r"Born in ([^.]+)\.",
    "employer": r"Works for ([^.]+)\.",
    "mayor": r"Its mayor is ([^.]+)\.",
    "river": r"The river ([^.]+) flows",
    "seat": r"Has its seat in ([^.]+)\.",
    "founder": r"Was founded by ([^.]+)\.",
    "author": r"Written by ([^.]+)\.",
    "publisher": r"Published by ([^.]+)\.",
    "year": r"It began in (\d+)\.",
}
"""How the encyclopaedia of task=search words each relation."""


class SearchExpert(Scripted):
    """Knows the forms of the encyclopaedia's questions and sentences.

    Args:
        error: probability per turn, 0 to 1, of a mistake: a poor query, or a name met on the way as the answer.
    """

    calls = frozenset({"finish", "read", "search"})

    def __init__(self, error: Share = 0.0) -> None:
        super().__init__()
        self.error = error

    def act(self, conversation: Conversation) -> Message:
        """
        Raises:
            UserError: the question is none about the encyclopaedia.
        """
        question = next(message["content"] for message in conversation.messages if message["role"] == "user")
        shown = [m["content"] for m in conversation.messages if m["role"] == "tool"]
        chance = dice(conversation)
        wrong = chance.random() < self.error
        title, answer = _needs(question, _read(conversation))
        if answer is not None:
            return call(conversation, "finish", answer=_on_the_way(shown, chance) if wrong else answer)
        if wrong:
            return call(conversation, "search", query=chance.choice(["the", "a letter", "year"]))
        found = any(line.startswith(f"{title}: ") for line in "\n".join(shown).splitlines())
        return call(conversation, "read", title=title) if found else call(conversation, "search", query=title)


def _needs(question: str, read: dict[str, str]) -> tuple[str, str | None]:
    """The title to be read next, or else the answer."""
    if match := re.fullmatch(r"What is the (\w+) of the older of (.+) and (.+)\?", question):
        asked, *titles = match.groups()
        missing = [title for title in titles if title not in read]
        if missing:
            return missing[0], None
        older = min(titles, key=lambda title: _fact(read[title], "year"))
        return "", _fact(read[older], asked)
    if match := re.fullmatch(r"What is the (\w+) of the (\w+) of (.+)\?", question):
        asked, relation, title = match.groups()
        middle = _fact(read[title], relation) if title in read else title
        return (middle, None) if middle not in read else ("", _fact(read[middle], asked))
    raise UserError(f"policy=search_expert reads only questions about the encyclopaedia, not: {question}")


def _read(conversation: Conversation) -> dict[str, str]:
    """Title -> text of the passages that were read whole."""
    read, asked = {}, None
    for message in conversation.messages:
        for made in message.get("tool_calls") or []:
            asked = made["function"]["arguments"].get("title")
        if message["role"] == "tool" and asked and message["content"].startswith(f"{asked}: "):
            read[asked] = message["content"].removeprefix(f"{asked}: ")
    return read


def _fact(text: str, relation: str) -> str:
    found = re.search(_FACTS[relation], text)
    if found is None:
        raise UserError("policy=search_expert found a passage cut short. Raise env.max_chars.")
    return found[1]


def _on_the_way(shown: list[str], chance: random.Random) -> str:
    return chance.choice(shown).partition(":")[0]
