"""Trajectory file -> Action: what was done once is done again, to score it anew or to check an environment."""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path
from typing import Any

from agenttrain import store
from agenttrain.errors import UserError
from agenttrain.policy.scripted import Scripted
from agenttrain.types import Action, Conversation, InfraError, Message, Trajectory


class Replay(Scripted):
    """Plays the recorded actions of the same task and attempt, with their tokens and log-probs.

    An environment that shows something else than it did when the record was made is noticed: `diverged` counts such
    episodes, each first difference is logged, and with `strict` the first one of all stops the run. One that goes on
    after the last recorded action ends its episode as `infra_error`.
    """

    def __init__(self, path: Path, strict: bool = False) -> None:
        super().__init__()
        self.path, self.strict = path, strict
        self.diverged = 0
        """Episodes that went otherwise than recorded."""
        self._strayed: set[str] = set()

    def act(self, conversation: Conversation) -> Action:
        """The recorded action, its tokens included.

        Raises:
            UserError: this attempt at this task is not in the file, or has diverged and `strict` is set.
            InfraError: the record is at its end, and the environment is not.
        """
        record = self._record(conversation)
        self._compare(record, conversation)
        if conversation.turn >= len(record.turns):
            raise InfraError(f"the record of {conversation.id} ends after {len(record.turns)} turns ({record.stop})")
        return record.turns[conversation.turn].action

    def release(self, conversation: Conversation) -> None:
        super().release(conversation)
        # The loop asks for no action after the last observation: this is where that one is seen.
        if conversation.turn and conversation.messages[-1]["role"] != "assistant":
            self._compare(self._record(conversation), conversation)

    def describe(self) -> dict[str, Any]:
        """What was asked for; not what has been counted on the way, or a resumed run would be another one."""
        return {"name": type(self).__name__, "path": str(self.path), "strict": self.strict}

    @cached_property
    def _records(self) -> dict[str, Trajectory]:
        """By conversation id; of an episode recorded twice, the later one."""
        return {f"{record.task.id}#{record.attempt}": record for record in store.read(self.path)}

    def _record(self, conversation: Conversation) -> Trajectory:
        try:
            return self._records[conversation.id]
        except KeyError:
            task, _, attempt = conversation.id.rpartition("#")
            raise UserError(
                f"policy=replay: {self.path} holds no attempt {attempt} at task {task!r}.\n"
                f"It holds {len(self._records)} episodes; choose the task set and attempts it was made with."
            ) from None

    def _compare(self, record: Trajectory, conversation: Conversation) -> None:
        difference = _difference(record, conversation)
        if difference is None or conversation.id in self._strayed:
            return
        self._strayed.add(conversation.id)
        self.diverged += 1
        text = f"replay of {conversation.id} diverges from {self.path}: {difference}"
        if self.strict and self.diverged == 1:  # not again, while the loop is releasing the others
            raise UserError(text)
        logging.getLogger(__name__).warning(text)


def _difference(record: Trajectory, conversation: Conversation) -> str | None:
    """What the environment showed last, if it is not what the record has there."""
    turn = conversation.turn
    if turn > len(record.turns):
        return None
    if turn == 0:
        if conversation.tools != record.tools:
            return "its tools are not the recorded ones"
        where, recorded, shown = "at its start", record.messages, conversation.messages
    else:
        where, recorded = f"after turn {turn - 1}", record.turns[turn - 1].observation.messages
        shown = conversation.messages[_last_action(conversation.messages) + 1 :]
    if recorded == shown:
        return None
    return f"{where} the environment shows {_brief(shown)}, and the record has {_brief(recorded)}"


def _last_action(messages: list[Message]) -> int:
    return max(number for number, message in enumerate(messages) if message["role"] == "assistant")


def _brief(messages: list[Message]) -> str:
    return repr(" / ".join(str(message.get("content")) for message in messages)[:200])
