"""Conversation -> Action with a model in this process: continuous batching over the slots of `Engine`.

Log-probs and entropies are those of the distribution that is sampled from, taken in the same pass. A conversation's
sampling depends on its own seed and turn alone, not on who is served beside it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from agenttrain.errors import UserError
from agenttrain.ranges import Count
from agenttrain.types import Action, Conversation

if TYPE_CHECKING:
    import torch

    from agenttrain.model.chat import Chat


AT_ONCE = 65_536
"""Prompt tokens in one forward pass: what it computes for more would not fit beside a large model."""


class Local:
    """A Hugging Face model that acts.

    Args:
        temperature: divides the logits; 0 takes the most likely token.
        top_p: samples from the smallest set of tokens with this probability mass (nucleus sampling, arXiv 1904.09751).
        slots: conversations served at once; more wait for a free slot.
        context: longest conversation in tokens; one that outgrows it ends as `max_tokens`.
    """

    def __init__(self, temperature: float = 1.0, top_p: float = 1.0, slots: Count = 128, context: Count = 4096) -> None:
        if temperature < 0 or not 0 < top_p <= 1:
            raise UserError(f"policy: temperature must be >= 0 and 0 < top_p <= 1, got {temperature} and {top_p}.")
        self.temperature, self.top_p, self.slots, self.context = temperature, top_p, slots, context
        self.name = "local"
        self.waiting: deque[_Speaker] = deque()
        """Submitted, and not yet (or no longer, after an observation) in the batch."""
        self.speaking: list[_Speaker] = []
        self.speakers: dict[Conversation, _Speaker] = {}
        self.free: list[int] = []

    def attach(self, model: Any, chat: Chat, name: str = "local") -> None:
        """Serve this model, live: its weights are read at every step."""
        from agenttrain.policy.engine import Engine

        self.engine = Engine(model, self.slots, self.context)
        self.chat, self.name = chat, name
        self.free = list(range(self.slots))[::-1]

    def describe(self) -> dict[str, Any]:
        """See `agenttrain.types.Policy`."""
        return {"name": self.name, "temperature": self.temperature, "top_p": self.top_p}

    def submit(self, conversation: Conversation) -> None:
        """See `agenttrain.types.Policy`."""
        if not hasattr(self, "engine"):
            raise UserError("policy=local has no model to act with: set model.path, or take model=tiny.")
        speaker = self.speakers.get(conversation)
        if speaker is None:
            speaker = self.speakers[conversation] = _Speaker(conversation)
            prompt = self.chat.open(conversation.messages, conversation.tools)
        else:
            prompt = speaker.unread + self.chat.extend(conversation.messages[speaker.seen :])
        speaker.begin(prompt)
        self.waiting.append(speaker)

    def poll(self, timeout: float) -> list[tuple[Conversation, Action | Exception]]:
        """Admit who waits, then decode until a fair share of those who speak is done or the time is up."""
        deadline = time.monotonic() + timeout
        training = self.engine.model.training
        self.engine.model.eval()
        try:
            done = self._admit()
            # One or two finished speakers alone would make a small, dear batch of the next observations.
            enough = max(1, len(self.speaking) // 4)
            while self.speaking and len(done) < enough:
                done += self._decode()
                if time.monotonic() > deadline:  # whoever has been answered meanwhile joins the batch
                    break
        finally:
            self.engine.model.train(training)
        return [(speaker.conversation, self._action(speaker)) for speaker in done]

    def release(self, conversation: Conversation) -> None:
        """See `agenttrain.types.Policy`."""
        speaker = self.speakers.pop(conversation, None)
        if speaker is None:
            return
        if speaker.row is not None:
            self.engine.clear(speaker.row)
            self.free.append(speaker.row)
        for group in (self.waiting, self.speaking):
            if speaker in group:
                group.remove(speaker)

    # -- the batch ----------------------------------------------------------------------------------------------------

    def _admit(self) -> list[_Speaker]:
        """Give rows to the waiting and feed them what they have not read; those who cannot go on are done."""
        fresh: list[_Speaker] = []
        returning: list[_Speaker] = []
        outgrown: list[_Speaker] = []
        for _ in range(len(self.waiting)):
            speaker = self.waiting.popleft()
            if speaker.row is None and not self.free:
                self.waiting.append(speaker)
                continue
            new = speaker.row is None
            if speaker.row is None:
                speaker.row = self.free.pop()
            if self.engine.lengths[speaker.row] + len(speaker.prompt) >= self.engine.context:
                outgrown.append(speaker)
            else:
                (fresh if new else returning).append(speaker)
        done = outgrown
        for batch in (*_portions(fresh), *_portions(returning)):
            self.speaking += batch
            done += self._step(batch, [speaker.prompt for speaker in batch])
        return done

    def _decode(self) -> list[_Speaker]:
        self.speaking.sort(key=lambda speaker: speaker.row or 0)
        return self._step(self.speaking, [[speaker.tokens[-1]] for speaker in self.speaking])

    def _step(self, batch: list[_Speaker], tokens: list[list[int]]) -> list[_Speaker]:
        """Feed, sample one token each, and take out of the batch whoever is done."""
        logits = self.engine.feed([speaker.row or 0 for speaker in batch], tokens)
        draws = np.array([speaker.random.random() for speaker in batch])
        sampled, logprobs, entropies = sample(logits, draws, self.temperature, self.top_p)
        done = []
        for speaker, token, logprob, entropy in zip(batch, sampled, logprobs, entropies, strict=True):
            speaker.tokens.append(token)
            speaker.logprobs.append(logprob)
            speaker.entropies.append(entropy)
            room = self.engine.context - self.engine.lengths[speaker.row or 0]
            limit = min(speaker.conversation.max_tokens or room, len(speaker.tokens) + room - 1)
            if token in self.chat.stop_ids or len(speaker.tokens) >= limit:
                done.append(speaker)
        if done:
            gone = set(map(id, done))
            self.speaking = [speaker for speaker in self.speaking if id(speaker) not in gone]
        return done

    def _action(self, speaker: _Speaker) -> Action:
        conversation, tokens = speaker.conversation, speaker.tokens
        stopped = bool(tokens) and tokens[-1] in self.chat.stop_ids
        message = self.chat.parse(tokens, conversation.tools) if tokens else {"role": "assistant", "content": ""}
        # The last sampled token has not been fed: the next observation brings it along. The loop appends the action.
        speaker.unread, speaker.seen = tokens[-1:], len(conversation.messages) + 1
        read = speaker.read + len(speaker.prompt) - speaker.known
        return Action(
            message=message,
            prompt_ids=speaker.prompt[speaker.known :],
            token_ids=tokens,
            logprobs=speaker.logprobs,
            entropies=speaker.entropies,
            finish="stop" if stopped else "length",
            usage={"prompt_tokens": read, "completion_tokens": len(tokens)},
        )


@dataclass(eq=False)
class _Speaker:
    """A conversation's place in the engine."""

    conversation: Conversation
    row: int | None = None
    prompt: list[int] = field(default_factory=list)
    """What the model must read before this turn's first token."""
    unread: list[int] = field(default_factory=list)
    """The last turn's last token, sampled and not yet fed."""
    known: int = 0
    """How many of `prompt` are such, and belong to the last turn's action already."""
    seen: int = 0
    """Messages of the conversation that are in tokens already."""
    read: int = 0
    """Tokens of the conversation before this turn."""
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)

    def begin(self, prompt: list[int]) -> None:
        """A turn begins: `prompt` is to be read, then tokens of this turn are drawn from a stream of its own."""
        self.read += len(self.prompt) - self.known + len(self.tokens)
        self.prompt, self.known = prompt, len(self.unread)
        self.tokens, self.logprobs, self.entropies = [], [], []
        self.random = np.random.default_rng([self.conversation.seed, self.conversation.turn])


def _portions(speakers: list[_Speaker]) -> Iterator[list[_Speaker]]:
    """All of them, in batches of at most `AT_ONCE` prompt tokens, padding included (but of one speaker at least)."""
    batch: list[_Speaker] = []
    for speaker in sorted(speakers, key=lambda speaker: len(speaker.prompt)):
        if batch and (len(batch) + 1) * len(speaker.prompt) > AT_ONCE:
            yield sorted(batch, key=lambda speaker: speaker.row or 0)
            batch = []
        batch.append(speaker)
    if batch:
        yield sorted(batch, key=lambda speaker: speaker.row or 0)


def sample(
    logits: torch.Tensor, draws: np.ndarray, temperature: float, top_p: float
) -> tuple[list[int], list[float], list[float]]:
    """One token per row by inverse CDF, with its log-prob and the entropy of the distribution it came from.

    Args:
        logits: float32 `(rows, vocab)`.
        draws: uniform in [0, 1), one per row.
        temperature: 0 is greedy; log-prob and entropy are then those of temperature 1.
    """
    import torch

    logprobs = torch.log_softmax(logits / temperature if temperature > 0 else logits, dim=-1)
    if top_p < 1 and temperature > 0:
        ordered, order = logprobs.sort(dim=-1, descending=True)
        mass_before = ordered.exp().cumsum(-1) - ordered.exp()
        outside = torch.zeros_like(mass_before, dtype=torch.bool).scatter(-1, order, mass_before >= top_p)
        logprobs = torch.log_softmax(logprobs.masked_fill(outside, -torch.inf), dim=-1)
    probabilities = logprobs.exp()
    if temperature > 0:
        cumulative = probabilities.double().cumsum(-1)
        # Scaled by the total, so that rounding can never push a draw past the last token.
        points = torch.from_numpy(draws).to(logits.device)[:, None] * cumulative[:, -1:]
        tokens = torch.searchsorted(cumulative, points, right=True).clamp(max=logits.shape[-1] - 1)
    else:
        tokens = logits.argmax(-1, keepdim=True)
    entropies = -(probabilities * logprobs.clamp(min=-1e9)).sum(-1)
    return tokens[:, 0].tolist(), logprobs.gather(-1, tokens)[:, 0].tolist(), entropies.tolist()
