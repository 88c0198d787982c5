"""Conversation -> Action with a model in this process: continuous batching over the rows of `Engine`.

Every step feeds all who speak: one token each to those who decode, and beside them a bounded piece of what others must
read first. Log-probs and entropies are those of the distribution that is sampled from, taken in the same pass. A
conversation's sampling depends on its own seed and turn alone, not on who is served beside it or who had to make room.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from agenttrain.errors import UserError
from agenttrain.policy.seats import Seats, Speaker
from agenttrain.ranges import Count, Positive
from agenttrain.types import Action, Conversation

if TYPE_CHECKING:
    from agenttrain.model.chat import Chat

_log = logging.getLogger(__name__)


class Local:
    """A Hugging Face model that acts.

    Args:
        temperature: divides the logits; 0 takes the most likely token.
        top_p: samples from the smallest set of tokens with this probability mass (nucleus sampling, arXiv 1904.09751).
        slots: conversations that hold cache at once; more wait for a free slot.
        context: longest conversation in tokens; one that outgrows it ends as `max_tokens`.
        cache_gb: memory for keys and values, in GiB; None is half of what is free. See `agenttrain.policy.seats` for
            what happens when it is full.
        chunk: tokens of prompts and observations read in one forward pass, beside those who decode.
        dtype: type that float32 weights are cast to while the model acts; None acts with the weights themselves.
    """

    anneals = True
    """`temperature` and `top_p` may change between two episodes."""

    def __init__(
        self,
        temperature: float = 1.0,
        top_p: float = 1.0,
        slots: Count = 512,
        context: Count = 4096,
        cache_gb: Positive | None = None,
        chunk: Count = 1024,
        dtype: Literal["bfloat16"] | None = None,
    ) -> None:
        if temperature < 0 or not 0 < top_p <= 1:
            raise UserError(f"policy: temperature must be >= 0 and 0 < top_p <= 1, got {temperature} and {top_p}.")
        self.temperature, self.top_p, self.slots, self.context = temperature, top_p, slots, context
        self.cache_gb, self.chunk, self.dtype = cache_gb, chunk, dtype
        self.name = "local"
        self.speakers: dict[Conversation, Speaker] = {}
        self.served = 0
        """Conversations so far."""

    def attach(self, model: Any, chat: Chat, name: str = "local") -> None:
        """Serve this model, live: its weights are read at every step."""
        import torch

        from agenttrain.policy.engine import Engine

        self.engine = Engine(model, self.context, self.cache_gb, getattr(torch, self.dtype) if self.dtype else None)
        self.seats = Seats(self.engine, self.slots)
        self.chat, self.name = chat, name

    def describe(self) -> dict[str, Any]:
        """See `agenttrain.types.Policy`."""
        return {"name": self.name, "temperature": self.temperature, "top_p": self.top_p}

    def submit(self, conversation: Conversation) -> None:
        """See `agenttrain.types.Policy`."""
        if not hasattr(self, "engine"):
            raise UserError("policy=local has no model to act with: set model.path, or take model=tiny.")
        speaker = self.speakers.get(conversation)
        if speaker is None:
            speaker = self.speakers[conversation] = Speaker(conversation, self.served)
            self.served += 1
            prompt = self.chat.open(conversation.messages, conversation.tools)
        else:
            prompt = self.chat.extend(conversation.messages[speaker.seen :])
        # The loop appends the action, which is in tokens as it was sampled.
        speaker.seen = len(conversation.messages) + 1
        speaker.begin(prompt)
        self.seats.arrive(speaker)

    def poll(self, timeout: float) -> list[tuple[Conversation, Action | Exception]]:
        """Step until somebody is done or the time is up: whoever has been answered meanwhile joins the batch."""
        deadline = time.monotonic() + timeout
        done: list[Speaker] = []
        while self.seats.acting and not done:
            done = self._step()
            if time.monotonic() > deadline:
                break
        return [(speaker.conversation, self._action(speaker)) for speaker in done]

    def release(self, conversation: Conversation) -> None:
        """See `agenttrain.types.Policy`."""
        if speaker := self.speakers.pop(conversation, None):
            self.seats.leave(speaker)
            if not self.speakers:
                self._close()

    # -- the batch ----------------------------------------------------------------------------------------------------

    def _step(self) -> list[Speaker]:
        """Feed everybody's next tokens, sample one for each who has read all, and let those rest who are done."""
        from agenttrain.policy.sampling import sample

        done = [speaker for speaker in self.seats.acting if len(speaker.ids) >= self.engine.context]
        for speaker in done:
            self.seats.rest(speaker)
        batch = self.seats.next(self.chunk)
        if not batch:
            time.sleep(0.001)  # all wait for the room of conversations whose environments are at work
            return done
        logits = self.engine.feed([row for _, row, _ in batch], [tokens for _, _, tokens in batch])
        ready = [place for place, (speaker, _, _) in enumerate(batch) if not speaker.unread]
        if not ready:
            return done
        speakers = [batch[place][0] for place in ready]
        draws = np.array([speaker.random.random() for speaker in speakers])
        sampled = sample(logits[ready], draws, self.temperature, self.top_p)
        for speaker, token, logprob, entropy in zip(speakers, *sampled, strict=True):
            speaker.ids.append(token)
            speaker.logprobs.append(logprob)
            speaker.entropies.append(entropy)
            if token in self.chat.stop_ids or len(speaker.logprobs) == speaker.conversation.max_tokens:
                self.seats.rest(speaker)
                done.append(speaker)
        return done

    def _action(self, speaker: Speaker) -> Action:
        prompt, tokens = speaker.ids[speaker.begun : speaker.spoke], speaker.ids[speaker.spoke :]
        stopped = bool(tokens) and tokens[-1] in self.chat.stop_ids
        parsed = self.chat.parse(tokens, speaker.conversation.tools) if tokens else None
        return Action(
            message=parsed or {"role": "assistant", "content": ""},
            prompt_ids=prompt,
            token_ids=tokens,
            logprobs=speaker.logprobs,
            entropies=speaker.entropies,
            finish="stop" if stopped else "length",
            usage={"prompt_tokens": speaker.spoke, "completion_tokens": len(tokens)},
        )

    def _close(self) -> None:
        """Nobody is left: give memory and model to whoever trains now, and say once if the former was short."""
        self.engine.close()
        if self.seats.evicted:
            _log.warning(
                "The cache was full: %d times a conversation gave way, and %d tokens had to be read again. "
                "More policy.cache_gb or less rollout.concurrency avoids it.",
                self.seats.evicted,
                self.seats.lost,
            )
        self.seats.evicted = self.seats.lost = 0
