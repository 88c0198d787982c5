"""Examples and trajectories -> the tokens a trainer sees: ids, labels, and the turn each token was sampled in.

A sequence is always `open + reply + extend + reply + ... + reply`; loss falls on tokens of replies and on nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, repeat
from typing import TYPE_CHECKING, Literal

from agenttrain.errors import UserError
from agenttrain.types import Advantage, Example, Trajectory

if TYPE_CHECKING:
    from agenttrain.model.chat import Chat

IGNORED = -100
"""The label of a token without loss, as torch's cross entropy has it."""

Overlong = Literal["turn", "cut"]
"""Of a record longer than `max_length`, `turn` keeps the turns that fit whole, `cut` every token that fits."""

Weighting = Literal["token", "turn"]
"""A turn's say in the loss: its number of tokens, so that a long one counts more, or the same for all of an episode."""


@dataclass
class Tokens:
    """One sequence; all three lists have its length."""

    ids: list[int]
    labels: list[int]
    """The id itself where the token carries loss, `IGNORED` elsewhere."""
    turn: list[int]
    """Number of the assistant turn a token was sampled in, from 0; -1 for every token the model is only shown."""
    lost: int = 0
    """Tokens with loss that did not fit into `max_length`."""

    @property
    def opening(self) -> int:
        """Number of tokens before the first sampled one; 1 where none was sampled."""
        return next((place for place, turn in enumerate(self.turn) if turn >= 0), 1)

    @property
    def trained(self) -> int:
        """Number of tokens with loss."""
        return sum(label != IGNORED for label in self.labels)

    def runs(self) -> list[tuple[int, list[int]]]:
        """The stretches of tokens with loss, one per trained turn: (turn, ids)."""
        rows = zip(self.turn, self.labels, strict=True)
        stretches = groupby(rows, key=lambda row: (row[0], row[1] != IGNORED))
        return [(turn, [label for _, label in rows]) for (turn, trained), rows in stretches if trained]


def label_example(example: Example, chat: Chat, max_length: int | None = None, overlong: Overlong = "turn") -> Tokens:
    """The tokens of one record, up to its last trained one (what follows cannot change the loss).

    Recorded tokens are used as they are; otherwise the messages are rendered by `chat`. `max_length` is in tokens; a
    record of which nothing fits comes back with `trained == 0`.
    """
    if example.text:
        tokens = _plain(example.text, chat)
    else:
        tokens = _render(example, chat) if example.ids is None else _recorded(example)
    return _fit(tokens, max_length, overlong)


def label_trajectory(trajectory: Trajectory) -> Tokens:
    """The tokens an episode was played in, up to its last sampled one; loss on every sampled token."""
    tokens = Tokens([], [], [])
    for turn, action in enumerate(turn.action for turn in trajectory.turns):
        _append(tokens, action.prompt_ids, turn=-1, trained=False)
        _append(tokens, action.token_ids, turn, trained=True)
    return _fit(tokens, max_length=None, overlong="turn")


def widen(advantages: Sequence[Advantage], tokens: Tokens, weighting: Weighting = "token") -> list[float]:
    """One advantage per turn -> one per token: the turn's own on what was sampled in it, 0 on the rest.

    Of a turn with an advantage for each token, the n-th stands on its n-th sampled one. Weighted by `turn`, the tokens
    of a turn share equally in one n-th of the episode's sampled tokens, n being its turns: their number stays the
    episode's weight, and the shortest turn has as much of it as the longest.

    Raises:
        UserError: a turn has advantages for another number of tokens than it sampled.
    """
    sampled = Counter(turn for turn in tokens.turn if turn >= 0)
    for turn, count in sampled.items():
        given = advantages[turn]
        if not isinstance(given, float | int) and len(given) != count:
            raise UserError(f"credit= gave {len(given)} advantages for the {count} tokens sampled in turn {turn}.")
    mean = sampled.total() / max(len(sampled), 1)
    weight = {turn: mean / count if weighting == "turn" else 1.0 for turn, count in sampled.items()}
    of_turn = [repeat(a) if isinstance(a, float | int) else iter(a) for a in advantages]
    return [weight[turn] * next(of_turn[turn]) if turn >= 0 else 0.0 for turn in tokens.turn]


def place(per_turn: Iterable[Iterable[float]], tokens: Tokens, elsewhere: float = 0.0) -> list[float]:
    """One number for each sampled token, turn by turn -> one for every token after the opening."""
    each = [iter(numbers) for numbers in per_turn]
    return [next(each[turn]) if turn >= 0 else elsewhere for turn in tokens.turn[tokens.opening :]]


def numbers(advantage: Advantage) -> Sequence[float]:
    """The one advantage of a turn, or those of its tokens."""
    return [advantage] if isinstance(advantage, float | int) else advantage


def _render(example: Example, chat: Chat) -> Tokens:
    messages = example.messages
    places = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    tokens = Tokens([], [], [])
    for turn, place in enumerate(places):
        shown = messages[places[turn - 1] + 1 : place] if turn else messages[:place]
        _append(tokens, chat.extend(shown) if turn else chat.open(shown, example.tools), turn=-1, trained=False)
        _append(tokens, chat.reply(messages[place]), turn=turn, trained=bool(messages[place].get("train")))
    return tokens


def _plain(text: str, chat: Chat) -> Tokens:
    """A text and its end, all of one turn; what the tokenizer puts before a text carries no loss."""
    tokens = Tokens([], [], [])
    _append(tokens, chat.start(), turn=-1, trained=False)
    _append(tokens, [*chat.text(text), *chat.end()], turn=0, trained=True)
    return tokens


def _recorded(example: Example) -> Tokens:
    ids, mask = list(example.ids or []), list(example.mask or [])
    if len(ids) != len(mask):
        raise UserError(f"{example.source or example.id}: {len(ids)} recorded tokens, but a mask of {len(mask)}.")
    turns = [message for message in example.messages if message["role"] == "assistant"]
    trained = [number for number, message in enumerate(turns) if message.get("train")]
    tokens = Tokens([], [], [])
    run, start = -1, 0
    for sampled, stretch in groupby(mask):
        end = start + len(list(stretch))
        run += sampled
        # A stretch beyond the last trained message keeps a number no message has, for `find_fault` to name.
        turn = (trained[run] if run < len(trained) else len(turns)) if sampled else -1
        _append(tokens, ids[start:end], turn, trained=sampled)
        start = end
    return tokens


def _append(tokens: Tokens, ids: Sequence[int], turn: int, trained: bool) -> None:
    tokens.ids.extend(ids)
    tokens.labels.extend(ids if trained else [IGNORED] * len(ids))
    tokens.turn.extend([turn] * len(ids))


def _fit(tokens: Tokens, max_length: int | None, overlong: Overlong) -> Tokens:
    end = _last_trained(tokens, len(tokens.ids))
    if max_length is not None and end > max_length:
        turn, end = tokens.turn, max_length
        while overlong == "turn" and end and turn[end] != -1 and turn[end - 1] == turn[end]:
            end -= 1
        end = _last_trained(tokens, end)
    fitted = Tokens(tokens.ids[:end], tokens.labels[:end], tokens.turn[:end])
    fitted.lost = tokens.trained - fitted.trained
    return fitted


def _last_trained(tokens: Tokens, end: int) -> int:
    while end and tokens.labels[end - 1] == IGNORED:
        end -= 1
    return end
