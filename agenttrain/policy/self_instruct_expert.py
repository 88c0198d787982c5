"""Observation -> Action: fills a template with what the document of an API says that it does."""

from __future__ import annotations

import re

from agenttrain.gorilla.requests import written
from agenttrain.policy.scripted import Scripted, dice
from agenttrain.types import Conversation, Message


class SelfInstructExpert(Scripted):
    """Asks for the API's `functionality`; if that was refused, for its `domain`. Two APIs that do the same get the same
    requests: a language model as the teacher (`policy=endpoint`) tells them apart."""

    def act(self, conversation: Conversation) -> Message:
        document = next(m["content"] for m in conversation.messages if m["role"] == "user")
        field = "domain" if conversation.turn else "functionality"
        found = re.search(rf'"{field}": "([^"]+)"', document)
        return {"role": "assistant", "content": written(found[1] if found else "this", dice(conversation))}
