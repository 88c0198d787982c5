"""Observation -> Action: looks up one fact after the other or recalls them all, and errs as often as told."""

from __future__ import annotations

import random
import re
from functools import cache

from agenttrain.errors import UserError
from agenttrain.policy.scripted import Scripted, call, dice
from agenttrain.ranges import Count, Share, Whole
from agenttrain.types import Conversation, Message
from agenttrain.worlds.people import World

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

    As the oracle of FireAct's teacher (`policy=methods`) it answers from memory where it is offered no search, and
    begins a thought with `Reflection:` where it is asked to reflect.

    Args:
        error: probability per turn, 0 to 1, of a mistake: instead of a search a poor query or a premature answer,
            at the end a wrong answer (a name met on the way).
        thoughts: say in a few words why, before each call.
        circles: after a search that told nothing new, go on with poor queries until asked to reflect.
        world: seed of the world it knows by heart; None for none.
        size: people in that world.
    """

    calls = frozenset({"finish", "search"})

    def __init__(
        self,
        error: Share = 0.0,
        thoughts: bool = False,
        circles: bool = False,
        world: Whole | None = None,
        size: Count = 200,
    ) -> None:
        super().__init__()
        self.error, self.thoughts, self.circles, self.world, self.size = error, thoughts, circles, world, size

    def act(self, conversation: Conversation) -> Message:
        """
        Raises:
            UserError: the question is none of the invented world's.
        """
        question = next(message["content"] for message in conversation.messages if message["role"] == "user")
        subject, relations, claim = read_question(question)
        if "search" not in {tool["function"]["name"] for tool in conversation.tools}:
            names = _follow(subject, relations, {} if self.world is None else _memory(self.world, self.size))
            message = call(conversation, "finish", answer=_answer(names, claim))
            steps = zip(relations, names, names[1:], strict=False)
            message["content"] = " ".join(f"The {relation} of {a} is {b}." for relation, a, b in steps)
            return message
        names = _follow(subject, relations, _shown(conversation.messages))
        missing, chance = relations[len(names) - 1 :], dice(conversation)
        reflects = conversation.turn > 0 and conversation.messages[-1]["role"] == "user"
        told_nothing = len(_follow(subject, relations, _shown(conversation.messages[:-1]))) == len(names)
        if chance.random() < self.error:
            message = _mistake(conversation, names, missing, chance)
        elif missing and self.circles and conversation.turn > 0 and told_nothing and not reflects:
            message = call(conversation, "search", query=missing[0])
        elif missing:
            message = call(conversation, "search", query=names[-1])
        else:
            message = call(conversation, "finish", answer=_answer(names, claim))
        if self.thoughts:
            message["content"] = "Reflection: the last searches told nothing new. " if reflects else ""
            message["content"] += (
                f"I need the {missing[0]} of {names[-1]}."
                if missing
                else f"The {relations[-1]} of {names[-2]} is {names[-1]}."
            )
        return message


def _answer(names: list[str], claim: str | None) -> str:
    return names[-1] if claim is None else "yes" if names[-1] == claim else "no"


def _mistake(conversation: Conversation, names: list[str], missing: list[str], chance: random.Random) -> Message:
    if not missing:
        return call(conversation, "finish", answer=chance.choice(names[:-1]))
    if chance.random() < 0.5:
        return call(conversation, "finish", answer=names[-1])
    first, _, rest = names[-1].partition(" ")  # a first word is part of other names too, a relation is part of none
    return call(conversation, "search", query=first if rest and chance.random() < 0.5 else missing[0])


def read_question(question: str) -> tuple[str, list[str], str | None]:
    """The subject, the relations to follow from it, first to last, and what is claimed to be at their end (None where
    that is asked for)."""
    match = re.fullmatch(r"(?:What|Who) is the (.+) of (.+)\?", question)
    match = match or re.fullmatch(r"Is it true that the (.+) of (.+) is (.+)\?", question)
    relations = match[1].split(" of the ")[::-1] if match else []
    if match is None or not set(relations) <= set(_FACTS):
        raise UserError(f"policy=hopqa_expert reads only the invented world's questions, not: {question}")
    return match[2], relations, match[3] if match.re.groups == 3 else None


def _follow(subject: str, relations: list[str], texts: dict[str, str]) -> list[str]:
    """The subject and the names that the passages (title -> text) lead to, one for each relation as far as they go."""
    names = [subject]
    for relation in relations:
        fact = re.search(_FACTS[relation], texts.get(names[-1], ""))
        if fact is None:
            break
        names.append(fact[1])
    return names


def _shown(messages: list[Message]) -> dict[str, str]:
    lines = [line for message in messages if message["role"] == "tool" for line in message["content"].split("\n")]
    return dict(line.split(": ", 1) for line in lines if ": " in line)


@cache
def _memory(world: int, size: int) -> dict[str, str]:
    return {passage.title: passage.text for passage in World(world, size).passages}
