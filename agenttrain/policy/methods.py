"""Observation -> Action by a teacher that is asked in several ways: FireAct (arXiv 2310.05915).

An episode is played by ReAct (arXiv 2210.03629), chain of thought (CoT, arXiv 2201.11903) or Reflexion (arXiv
2303.11366). What is said to the teacher for it stays out of the record, so that all leave one form: thought, call,
observation, and so on.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agenttrain.errors import UserError
from agenttrain.ranges import NonNegative, Whole
from agenttrain.types import Action, Conversation, Message, Policy

REACT = "Before each call, say in a sentence or two what you know and what you need next."
COT = "Say step by step what you know that leads to the answer, then give the answer in the same message."
REFLECT = (
    "You have taken {turns} steps and have no answer yet. Say what went wrong and what you will do instead, beginning "
    "with 'Reflection:', then make the next call."
)


@dataclass(eq=False)
class _Asked:
    """An action that the teacher owes."""

    conversation: Conversation
    method: str
    tries: int = 0
    usage: Counter[str] = field(default_factory=Counter)
    """Tokens of the answers that were no use."""


class Methods:
    """Asks `base` for each action, in the way that was drawn for the episode.

    - ReAct: think, then call any tool.
    - CoT: think, then give the answer; no other tool is offered, so that it is a ReAct of one round.
    - Reflexion: as ReAct, and before the steps of `reflect_at` say what went wrong.

    An action without a call of an offered tool is asked for again; the record holds the last answer alone, its usage
    all of them.

    Args:
        base: the teacher.
        react, cot, reflexion: shares of the episodes, in proportion to each other.
        reflect_at: steps, counted from 1, before which Reflexion reflects.
        ask_again: most times that an action is asked for again.
        answer: name of the tool that gives the answer.
    """

    def __init__(
        self,
        base: Policy,
        react: NonNegative = 1.0,
        cot: NonNegative = 0.0,
        reflexion: NonNegative = 0.0,
        reflect_at: Sequence[int] = (6, 10),
        ask_again: Whole = 5,
        answer: str = "finish",
    ) -> None:
        if hasattr(base, "attach"):
            raise UserError("policy=methods takes no model in this process: serve it, and take policy.base=endpoint.")
        self.shares = {"react": react, "cot": cot, "reflexion": reflexion}
        if not any(self.shares.values()):
            raise UserError("policy=methods needs a share above 0 for one of react, cot, reflexion.")
        self.base, self.reflect_at, self.ask_again, self.answer = base, list(reflect_at), ask_again, answer
        self._asked: dict[Conversation, _Asked] = {}
        """What `base` sees -> what it stands for."""

    def submit(self, conversation: Conversation) -> None:
        """
        Raises:
            UserError: CoT in an environment without the tool `answer`.
        """
        chance = random.Random(f"method/{conversation.seed}")
        (method,) = chance.choices(list(self.shares), list(self.shares.values()))
        self._ask(_Asked(conversation, method))

    def poll(self, timeout: float) -> list[tuple[Conversation, Action | Exception]]:
        ready: list[tuple[Conversation, Action | Exception]] = []
        for view, action in self.base.poll(timeout):
            asked = self._asked.pop(view)
            self.base.release(view)
            if isinstance(action, Action):
                asked.usage.update(action.usage)
                if asked.tries < self.ask_again and not _usable(action, view):
                    asked.tries += 1
                    self._ask(asked)
                    continue
                action.method, action.usage = asked.method, dict(asked.usage)
            ready.append((asked.conversation, action))
        return ready

    def release(self, conversation: Conversation) -> None:
        for view in [view for view, asked in self._asked.items() if asked.conversation is conversation]:
            del self._asked[view]
            self.base.release(view)

    def describe(self) -> dict[str, Any]:
        """The teacher, and how it is asked."""
        asked = {"reflect_at": self.reflect_at, "ask_again": self.ask_again}
        return {"name": "Methods", **self.shares, **asked, "base": self.base.describe()}

    def _ask(self, asked: _Asked) -> None:
        view = self._view(asked)
        self._asked[view] = asked
        self.base.submit(view)

    def _view(self, asked: _Asked) -> Conversation:
        """The conversation as the teacher sees it; each try has a seed of its own."""
        whole, tools = asked.conversation, asked.conversation.tools
        messages = _told(whole.messages, COT if asked.method == "cot" else REACT)
        if asked.method == "cot":
            tools = [tool for tool in tools if tool["function"]["name"] == self.answer]
            if not tools:
                names = ", ".join(tool["function"]["name"] for tool in whole.tools)
                raise UserError(f"CoT answers with policy.answer={self.answer}, but the tools here are: {names}.")
        if asked.method == "reflexion" and whole.turn + 1 in self.reflect_at:
            messages.append({"role": "user", "content": REFLECT.format(turns=whole.turn)})
        seed = random.Random(f"{whole.seed}/{asked.tries}").getrandbits(63) if asked.tries else whole.seed
        return replace(whole, messages=messages, tools=tools, seed=seed)


def _told(messages: list[Message], instruction: str) -> list[Message]:
    """The messages with the instruction at the end of the system message, or as one."""
    first, rest = messages[0], messages[1:]
    if first["role"] != "system":
        return [{"role": "system", "content": instruction}, *messages]
    return [{**first, "content": f"{first['content']}\n{instruction}"}, *rest]


def _usable(action: Action, view: Conversation) -> bool:
    """Whether it calls an offered tool with arguments by the right names, or was cut and would only be cut again."""
    calls = action.message.get("tool_calls") or []
    schemas = {tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in view.tools}
    if not calls or calls[0]["function"]["name"] not in schemas:
        return action.finish == "length"
    function = calls[0]["function"]
    given, schema = set(function["arguments"]), schemas[function["name"]]
    known = given <= set(schema.get("properties", {})) or schema.get("additionalProperties", True)
    return set(schema.get("required", [])) <= given and bool(known)
