"""Who may speak: rows of cache given to conversations, oldest first, and taken back where memory is short.

When the cache is full, the younger conversation gives way to the older. One that is new waits. One that comes back
from its environment, or outgrows its row, takes the room of a younger one that waits for its environment; if there is
none, the former waits until somebody has acted, and the latter takes the room of the youngest of all. Whoever gave way
is read again from its tokens when there is room: it costs time and changes nothing. So the oldest can always go on.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from agenttrain.types import Conversation

if TYPE_CHECKING:
    from agenttrain.policy.cache import Row
    from agenttrain.policy.engine import Engine

SHARED = 32
"""Fewest tokens that are worth waiting for when another conversation reads them, too."""


@dataclass(eq=False)
class Speaker:
    """A conversation in tokens."""

    conversation: Conversation
    age: int
    """Number of conversations that were there before."""
    ids: list[int] = field(default_factory=list)
    """All its tokens, read by the model or not."""
    row: Row | None = None
    """Holds those that are read. None: it waits for room, and none are."""
    acting: bool = False
    """False while its environment is at work."""
    begun: int = 0
    """Place in `ids` where what is new in this turn begins."""
    spoke: int = 0
    """Place in `ids` where the tokens sampled in this turn begin."""
    seen: int = 0
    """Messages of the conversation that are in `ids`."""
    logprobs: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    leader: tuple[Speaker, int] | None = None
    """Who holds, or is about to read, that many of its first tokens."""

    def begin(self, prompt: list[int]) -> None:
        """A turn begins: `prompt` is to be read, then tokens of this turn are drawn from a stream of its own."""
        self.begun = len(self.ids)
        self.ids += prompt
        self.spoke = len(self.ids)
        self.logprobs, self.entropies = [], []
        self.random = np.random.default_rng([self.conversation.seed, self.conversation.turn])

    @property
    def unread(self) -> int:
        """Tokens to read before the next one can be sampled."""
        return len(self.ids) - (self.row.length if self.row else 0)


class Seats:
    """The rows of `engine`, for at most `slots` conversations at once.

    Attributes:
        acting: conversations whose next action is due, oldest first.
        evicted: times that a conversation gave way since the last `leave` of all.
        lost: tokens that they held.
    """

    def __init__(self, engine: Engine, slots: int) -> None:
        self.engine, self.slots = engine, slots
        self.acting: list[Speaker] = []
        self.seated: list[Speaker] = []
        """Those with a row, oldest first."""
        self.evicted = self.lost = 0

    def arrive(self, speaker: Speaker) -> None:
        """Its turn begins."""
        speaker.acting = True
        insort(self.acting, speaker, key=_age)

    def rest(self, speaker: Speaker) -> None:
        """It has acted; the row stays its own as long as nobody older needs it."""
        speaker.acting = False
        self.acting.remove(speaker)

    def leave(self, speaker: Speaker) -> None:
        """It is over."""
        if speaker.acting:
            self.rest(speaker)
        if speaker.row:
            self._unseat(speaker)

    def next(self, chunk: int) -> list[tuple[Speaker, Row, list[int]]]:
        """What the next forward pass feeds: whose tokens, to which row, and which.

        One token of everybody who decodes and, up to `chunk` in all, those that others must read first; the shortest
        texts before the longer ones.
        """
        for speaker in self.acting:
            if not speaker.row and not self._seat(speaker):
                break
        readers = [speaker for speaker in self.acting if speaker.row and speaker.unread > 1]
        counts = {speaker: 1 for speaker in self.acting if speaker.row and speaker.unread == 1}
        for speaker in sorted((reader for reader in readers if not self._follows(reader)), key=_unread):
            if count := min(chunk, speaker.unread):
                counts[speaker] = count
                chunk -= count
        # Oldest first: who gives way to them has not been fed yet.
        for speaker in sorted(counts, key=_age):
            if speaker.row:
                self._enlarge(speaker, speaker.row, speaker.row.length + counts[speaker])
        return [
            (speaker, row, speaker.ids[row.length : row.length + count])
            for speaker, count in counts.items()
            if (row := speaker.row)
        ]

    # -- room ---------------------------------------------------------------------------------------------------------

    def _seat(self, speaker: Speaker) -> bool:
        while True:
            if len(self.seated) < self.slots and (row := self.engine.cache.seat(speaker.unread)):
                speaker.row = row
                insort(self.seated, speaker, key=_age)
                return True
            younger = (other for other in reversed(self.seated) if not other.acting and other.age > speaker.age)
            if not (victim := next(younger, None)):
                return False
            self._evict(victim)

    def _enlarge(self, speaker: Speaker, row: Row, length: int) -> None:
        """Make room for `length` tokens, or let the speaker itself give way."""
        while speaker.row and not self.engine.cache.grow(row, length):
            idle = (other for other in reversed(self.seated) if not other.acting)
            self._evict(next(idle, self.seated[-1]))

    def _evict(self, speaker: Speaker) -> None:
        self.evicted += 1
        self.lost += speaker.row.length if speaker.row else 0
        self._unseat(speaker)

    def _unseat(self, speaker: Speaker) -> None:
        assert speaker.row
        self.engine.cache.drop(speaker.row)
        self.seated.remove(speaker)
        speaker.row = None

    # -- tokens that others read, too ---------------------------------------------------------------------------------

    def _follows(self, speaker: Speaker) -> bool:
        """True if it should wait, because another conversation is about to read the same first tokens. What that one
        has read is copied: the prompt of a group is read once."""
        row = speaker.row
        if row is None or row.length:
            return False
        if not speaker.leader or not _leads(speaker.leader[0], speaker):
            speaker.leader = self._leader(speaker)
        if not speaker.leader:
            return False
        leader, common = speaker.leader
        assert leader.row
        if leader.row.length < common and leader.acting:
            return True
        row.length = min(common, leader.row.length)
        self.engine.cache.copy(leader.row, row, row.length)
        return False

    def _leader(self, speaker: Speaker) -> tuple[Speaker, int] | None:
        """Who of those before it shares most first tokens, and how many; never all, since the last gives the logits."""
        best, most = None, SHARED - 1
        for other in reversed(self.seated):
            if not _leads(other, speaker):
                continue
            if other.ids[: most + 1] == speaker.ids[: most + 1]:
                common = _common(other.ids, speaker.ids)
                if most < (common := min(common, len(speaker.ids) - 1)):
                    best, most = other, common
                if most == len(speaker.ids) - 1:
                    break
        return (best, most) if best else None


def _leads(other: Speaker, speaker: Speaker) -> bool:
    """True if `speaker` may wait for `other`: it is older, or has begun to read. So two never wait for each other, not
    even when both had to give way and come back."""
    return other is not speaker and other.row is not None and (other.age < speaker.age or other.row.length > 0)


def _age(speaker: Speaker) -> int:
    return speaker.age


def _unread(speaker: Speaker) -> int:
    return speaker.unread


def _common(a: list[int], b: list[int]) -> int:
    """Number of first tokens that both share."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
