"""Examples -> labelled tokens with an account of every record, or a fault: nothing trains on a wrong mask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from typing import TYPE_CHECKING

from agenttrain.errors import UserError
from agenttrain.trainer.tokens import IGNORED, Overlong, Tokens, label_example
from agenttrain.types import Example, Message

if TYPE_CHECKING:
    from agenttrain.model.chat import Chat


@dataclass
class Account:
    """What became of the records on their way to tokens."""

    records: int = 0
    kept: int = 0
    truncated: int = 0
    """Records kept without the turns or tokens that did not fit."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Reason -> number of records."""
    tokens: int = 0
    trained: int = 0
    """Tokens with loss, of `tokens`."""
    lost: int = 0
    """Tokens with loss that did not fit into `max_length`, dropped records included."""
    parts: Counter[str] = field(default_factory=Counter)
    """Of a mixture: source -> records kept."""
    trained_of: Counter[str] = field(default_factory=Counter)
    """Of a mixture: source -> tokens with loss."""


def label_all(
    examples: Iterable[Example], chat: Chat, max_length: int | None = None, overlong: Overlong = "turn"
) -> tuple[list[tuple[Example, Tokens]], Account]:
    """All records that have something to train, with their tokens, and an account of the rest.

    A record that comes again as the same object (a mixture draws so) is read once; its rows share their tokens.

    Raises:
        UserError: a mask is wrong in any record, nothing is left to train, or no trained turn ends in a stop token.
    """
    account, kept, faults = Account(), [], []
    known: dict[int, tuple[Example, Tokens, str | None]] = {}
    for example in examples:
        if id(example) not in known:  # which holds the example: no other can get its id
            tokens = label_example(example, chat, max_length, overlong)
            known[id(example)] = example, tokens, find_fault(example, tokens, chat) if tokens.trained else None
        _, tokens, fault = known[id(example)]
        account.records += 1
        account.lost += tokens.lost
        if not tokens.trained:
            account.dropped["no turn fits into max_length" if tokens.lost else "no turn to train"] += 1
            continue
        if fault:
            faults.append(f"{example.source or example.id}: {fault}")
        account.kept += 1
        account.truncated += tokens.lost > 0
        account.tokens += len(tokens.ids)
        account.trained += tokens.trained
        names = example.part.split(".") if example.part else []
        for part in accumulate(names, "{}.{}".format):  # a mixture, and what is within it
            account.parts[part] += 1
            account.trained_of[part] += tokens.trained
        kept.append((example, tokens))
    if faults:
        raise UserError(f"{len(faults)} of {account.records} records have a wrong mask. The first is {faults[0]}")
    if not kept:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in account.dropped.items()) or "no records"
        raise UserError(f"Nothing to train on ({reasons}). Look at the data with 'agenttrain inspect'.")
    if not any(ids[-1] in chat.stop_ids for _, tokens in kept for _, ids in tokens.runs()):
        raise UserError("No trained turn ends in a stop token: the model would never learn to end its turn.")
    return kept, account


def find_fault(example: Example, tokens: Tokens, chat: Chat) -> str | None:
    """Reads the labels back into messages and compares: what is wrong with the mask, or None.

    Independent of how the labels were made. It finds loss on an observation, a turn without its stop token, text that
    tokenizing changed, and recorded tokens before a turn that are not those of the messages before it.
    """
    if not len(tokens.ids) == len(tokens.labels) == len(tokens.turn):
        return "ids, labels and turns differ in length."
    if any(label not in (IGNORED, token) for label, token in zip(tokens.labels, tokens.ids, strict=True)):
        return "a label is not the token it stands at."
    runs = tokens.runs()
    if example.text:
        said = str(chat.tokenizer.decode([label for label in runs[0][1] if label not in chat.stop_ids]))
        whole = said == example.text or (tokens.lost and example.text.startswith(said.rstrip("\ufffd")))
        return None if whole else f"its tokens read {said[:80]!r}, which is not the text."
    turns = [message for message in example.messages if message["role"] == "assistant"]
    for place, (turn, ids) in enumerate(runs):
        if not 0 <= turn < len(turns):
            return f"tokens outside the assistant's turns carry loss: {chat.tokenizer.decode(ids)[:80]!r}"
        if not turns[turn].get("train"):
            return f"turn {turn} carries loss though its message does not say 'train: true'."
        if tokens.lost and place == len(runs) - 1 and ids[-1] not in chat.stop_ids:
            continue  # cut in the middle, by request
        if example.ids is None and ids[-1] not in chat.stop_ids:
            return f"the stop token of turn {turn} carries no loss."
        if not _same(chat.parse(ids, example.tools), turns[turn]):
            hint = "" if example.ids is None else " (sampled with another tokenizer? Set data.recorded_tokens=false)"
            if chat.stop in str(turns[turn].get("content")):
                hint = f" (it says {chat.stop!r} itself, which reads as the end of the turn; take it out of the record)"
            return (
                f"the tokens of turn {turn} read {chat.tokenizer.decode(ids)[:80]!r}, which is not its message{hint}."
            )
    return None if example.ids is None else _broken_prefix(example, tokens, chat)


def retokenized(example: Example, tokens: Tokens, chat: Chat) -> int:
    """Number of trained turns whose recorded tokens are not those that their text would get: legitimate, as a policy
    may spell a word otherwise, and trained as recorded."""
    turns = [message for message in example.messages if message["role"] == "assistant"]
    return sum(ids != chat.reply(turns[turn]) for turn, ids in tokens.runs() if ids[-1] in chat.stop_ids)


def _broken_prefix(example: Example, tokens: Tokens, chat: Chat) -> str | None:
    """Where the recorded tokens that a turn was sampled after are not those of the messages before it."""
    places = [place for place, message in enumerate(example.messages) if message["role"] == "assistant"]
    start = 0
    for turn, stretch in groupby(tokens.turn):
        if turn >= 0:
            before, last = example.messages[: places[turn]], places[turn - 1] + 1 if turn else 0
            # The turn before it may itself be one of the opening's, or sampled in other tokens than its text has.
            observed = chat.extend(before[last:]) if turn else None
            shown = tokens.ids[:start]
            if not (observed and shown[-len(observed) :] == observed) and shown != chat.open(before, example.tools):
                return (
                    f"turn {turn} was sampled after other tokens than its messages have"
                    " (of another template or tokenizer? Set data.recorded_tokens=false)."
                )
        start += len(list(stretch))
    return None


def _same(parsed: Message, message: Message) -> bool:
    def key(m: Message) -> tuple[str, list[tuple[str, object]]]:
        calls = [call["function"] for call in m.get("tool_calls") or []]
        return (m.get("content") or "").strip(), [(call["name"], call["arguments"]) for call in calls]

    return key(parsed) == key(message)
