"""Observation -> Action of another policy, after a thought by a language model: AgentTuning (arXiv 2310.12823)."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agenttrain.errors import UserError
from agenttrain.ranges import Whole
from agenttrain.types import Action, Conversation, InfraError, Message, Policy

ASK = """An agent is at work. This has happened so far:

{told}

It goes on with this:

{action}

Write what the agent thinks just before: in one to three sentences, in the first person, what it knows from the above \
and why it does this next. Write the thought alone, in plain words and without a call."""


@dataclass(eq=False)
class _Owed:
    """A thought that `by` is to write."""

    conversation: Conversation
    action: Action
    usage: Counter[str]
    """Tokens of the action, and of all that was written for it."""
    tries: int = 0


class Thoughts:
    """`base` decides what is done, `by` writes why, from what the agent has seen by then and what it does next.

    Only the text is taken: nothing that `by` writes can change the action. What is empty, cut, or holds a call is asked
    for again; then the episode fails by no fault of the agent (`infra_error`), which `resume=true` plays again.

    Args:
        base: who acts.
        by: the language model, asked with one message and no tools.
        ask_again: most times that a thought is asked for again.
    """

    def __init__(self, base: Policy, by: Policy, ask_again: Whole = 5) -> None:
        if hasattr(base, "attach") or hasattr(by, "attach"):
            raise UserError("policy=thoughts takes no model in this process: serve it, and take policy.by=endpoint.")
        self.base, self.by, self.ask_again = base, by, ask_again
        self._owed: dict[Conversation, _Owed] = {}
        """What `by` sees -> what it is for."""

    def submit(self, conversation: Conversation) -> None:
        self.base.submit(conversation)

    def poll(self, timeout: float) -> list[tuple[Conversation, Action | Exception]]:
        ready: list[tuple[Conversation, Action | Exception]] = []
        for conversation, action in self.base.poll(0.0 if self._owed else timeout):
            if isinstance(action, Action) and action.finish == "stop":
                self._ask(_Owed(conversation, action, Counter(action.usage)))
            else:
                ready.append((conversation, action))
        for view, written in self.by.poll(0.0 if ready else timeout):
            owed = self._owed.pop(view)
            self.by.release(view)
            if (done := self._taken(owed, written)) is not None:
                ready.append((owed.conversation, done))
        return ready

    def release(self, conversation: Conversation) -> None:
        self.base.release(conversation)
        for view in [view for view, owed in self._owed.items() if owed.conversation is conversation]:
            del self._owed[view]
            self.by.release(view)

    def describe(self) -> dict[str, Any]:
        """Who acts, who writes, and how often it may be asked."""
        asked = {"ask_again": self.ask_again, "by": self.by.describe()}
        return {"name": "Thoughts", **asked, "base": self.base.describe()}

    def _ask(self, owed: _Owed) -> None:
        whole = owed.conversation
        told, action = "\n".join(_lines(whole.messages)), "\n".join(_lines([owed.action.message]))
        request: Message = {"role": "user", "content": ASK.format(told=told, action=action)}
        seed = random.Random(f"{whole.seed}/{whole.turn}/{owed.tries}").getrandbits(63)
        view = Conversation(f"{whole.id}/{whole.turn}", [request], [], seed, max_tokens=whole.max_tokens)
        self._owed[view] = owed
        self.by.submit(view)

    def _taken(self, owed: _Owed, written: Action | Exception) -> Action | Exception | None:
        """The action with its thought; None where another was asked for."""
        if isinstance(written, Exception):
            return written
        owed.usage.update(written.usage)
        fault = _fault(written, owed.conversation)
        if fault is None:
            return _with(owed.action, written.message["content"].strip(), dict(owed.usage))
        if owed.tries >= self.ask_again:
            return InfraError(f"policy.by wrote no thought, asked {owed.tries + 1} times: the last {fault}")
        owed.tries += 1
        self._ask(owed)
        return None


def _lines(messages: list[Message]) -> Iterator[str]:
    for message in messages:
        if message.get("content"):
            yield f"[{message['role']}] {message['content']}"
        for made in message.get("tool_calls") or []:
            arguments = json.dumps(made["function"]["arguments"], ensure_ascii=False)
            yield f"[call] {made['function']['name']} {arguments}"


def _fault(written: Action, conversation: Conversation) -> str | None:
    """Why it is no thought; what reads as a call would be learned as one, or be taken for the action."""
    text = written.message.get("content") or ""
    names = "|".join(re.escape(tool["function"]["name"]) for tool in conversation.tools)
    if written.finish == "length":
        return "was cut by the token limit"
    if written.message.get("tool_calls") or re.search(r'</?\W?(tool_call|function|execute)|"name"\s*:', text):
        return "has a call in it"
    if names and re.search(rf"\b({names})[({{]", text):
        return "has a call in it"
    return None if text.strip() else "was empty"


def _with(action: Action, thought: str, usage: dict[str, int]) -> Action:
    """Its tokens, if it has any, are not those of the new message, and are left out."""
    said = "\n".join(filter(None, [thought, action.message.get("content")]))
    return Action({**action.message, "content": said}, usage=usage, method=action.method)
