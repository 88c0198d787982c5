"""Observation -> Action: repeats the call of the document that it is shown."""

from __future__ import annotations

import json
import re

from agenttrain.policy.scripted import Scripted
from agenttrain.types import Conversation, Message


class GorillaExpert(Scripted):
    """Knows nothing by heart: its accuracy is that of the retriever."""

    def act(self, conversation: Conversation) -> Message:
        found = re.search(r'"api_call": "((?:[^"\\]|\\.)*)"', conversation.messages[-1]["content"])
        said = json.loads(f'"{found[1]}"') if found else "I was shown no document."
        return {"role": "assistant", "content": said}
