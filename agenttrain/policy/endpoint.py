"""Observation -> Action by a server that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp, a vendor."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import random
import threading
from concurrent.futures import Future
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agenttrain.errors import UserError
from agenttrain.policy.wire import from_wire, to_wire
from agenttrain.types import Action, Conversation, InfraError

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

_LONGEST_PAUSE = 30.0
"""Seconds between two tries, unless the server asks for more."""


class Endpoint:
    """Asks a chat-completions server for every action, up to `concurrency` at once.

    Requests run on an event loop in a thread of its own, because only there a request can really be given up: a
    server that sends one byte now and then keeps the client's own timeout, which is per read, from ever ending.

    A server that fails, stalls or answers nonsense is asked again, then an `InfraError` stands in the action's place.
    A refused key, an unknown model or a rejected first request is a `UserError`. A prompt that is too long for the
    model is an action cut by the token limit.
    """

    def __init__(
        self,
        model: str,
        url: str = "http://localhost:8000/v1",
        api_key_env: str = "OPENAI_API_KEY",
        temperature: float | None = 1.0,
        top_p: float | None = None,
        max_tokens: int | None = None,
        concurrency: int = 32,
        timeout: float = 120.0,
        retries: int = 4,
        extra: dict[str, Any] | None = None,
    ) -> None:
        self.model, self.url, self.api_key_env = model, url, api_key_env
        self.temperature, self.top_p, self.max_tokens = temperature, top_p, max_tokens
        self.concurrency, self.timeout, self.retries = concurrency, timeout, retries
        self.extra = extra or {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending: dict[Conversation, Future[Action | Exception]] = {}
        self._ready: queue.SimpleQueue[tuple[Conversation, Future[Action | Exception]]] = queue.SimpleQueue()
        self._has_answered = False

    def submit(self, conversation: Conversation) -> None:
        loop = self._loop or self._connect()
        future = asyncio.run_coroutine_threadsafe(self._answer(conversation), loop)
        self._pending[conversation] = future
        future.add_done_callback(lambda future: self._ready.put((conversation, future)))

    def poll(self, timeout: float) -> list[tuple[Conversation, Action | Exception]]:
        """All that has been answered; if nothing has, waits up to `timeout` seconds for the first answer."""
        answers: list[tuple[Conversation, Action | Exception]] = []
        wait = bool(self._pending)
        while True:
            try:
                conversation, future = self._ready.get(wait and not answers, timeout)
            except queue.Empty:
                return answers
            if self._pending.get(conversation) is future:
                del self._pending[conversation]
                answers.append((conversation, future.result()))

    def release(self, conversation: Conversation) -> None:
        """Nothing is held between requests; one under way is cancelled, so that the server may stop sampling."""
        if future := self._pending.pop(conversation, None):
            future.cancel()

    def describe(self) -> dict[str, Any]:
        """Model, server and sampling."""
        sampling = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens}
        return {"name": "Endpoint", "model": self.model, "url": self._server, **sampling, "extra": self.extra}

    @property
    def _server(self) -> str:
        """The url without user, password or query: what may be shown."""
        address = urlsplit(self.url)
        return f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}"

    # -- the request --------------------------------------------------------------------------------------------------

    def _connect(self) -> asyncio.AbstractEventLoop:
        from openai import AsyncOpenAI

        # A server of one's own needs no key, but the client insists on one.
        key = os.environ.get(self.api_key_env) or "none"
        self._client: AsyncOpenAI = AsyncOpenAI(base_url=self.url, api_key=key, max_retries=0, timeout=self.timeout)
        self._slots = asyncio.Semaphore(self.concurrency)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="endpoint", daemon=True).start()
        return self._loop

    def _request(self, conversation: Conversation, trial: int) -> dict[str, Any]:
        """What is sent: `extra` has the last word, and a null in it takes a field out."""
        limits = [limit for limit in (self.max_tokens, conversation.max_tokens) if limit]
        request = {
            "model": self.model,
            "messages": to_wire(conversation.messages),
            "tools": conversation.tools or None,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": min(limits, default=None),
            # A new seed for every trial: a server that choked on what it sampled would do so again.
            "seed": random.Random(f"{conversation.seed}/{conversation.turn}/{trial}").getrandbits(31),
            **self.extra,
        }
        return {key: value for key, value in request.items() if value is not None}

    async def _answer(self, conversation: Conversation) -> Action | Exception:
        async with self._slots:
            trial = 0
            while True:
                answer = await self._try(self._request(conversation, trial), conversation.turn)
                if not isinstance(answer, _Fault):
                    return answer
                if answer.wait > self.timeout:
                    return InfraError(f"{answer}; it asks to wait {answer.wait:g} s, longer than policy.timeout")
                if trial >= self.retries:
                    return InfraError(f"{answer} (tried {trial + 1} times)")
                pause = min(_LONGEST_PAUSE, 0.5 * 2**trial) * random.uniform(0.5, 1.0)
                await asyncio.sleep(max(pause, answer.wait))
                trial += 1

    async def _try(self, request: dict[str, Any], turn: int) -> Action | Exception:
        import openai

        # Raw, because the client makes of a page of HTML a string, and of anything else whatever it resembles.
        create = self._client.chat.completions.with_raw_response.create
        try:
            async with asyncio.timeout(self.timeout):
                response = await create(
                    model=request.pop("model"), messages=request.pop("messages"), extra_body=request
                )
        except openai.APIStatusError as error:
            return self._refused(error)
        except (TimeoutError, openai.APITimeoutError):
            return _Fault(f"{self._server} gave no complete answer within policy.timeout={self.timeout:g} s")
        except openai.APIConnectionError as error:
            return _Fault(f"{self._server} cannot be reached: {error.__cause__ or error}")
        try:
            action = from_wire(json.loads(response.text), turn)
        except (ValueError, LookupError, TypeError, AttributeError):
            said = " ".join(response.text.split())[:200]
            return _Fault(f"{self._server} gave no chat completion (does policy.url end in /v1?), but: {said}")
        self._has_answered = True
        return action

    def _refused(self, error: APIStatusError) -> Action | Exception:
        status, code = error.status_code, getattr(error, "code", None)
        said = " ".join(str(error.message).split())[:300].replace(self._client.api_key, "***")
        text = f"{self._server} answered {said if str(status) in said else f'{status}: {said}'}"
        if status == 401:
            return UserError(f"{text}\nThe key is read from the environment variable {self.api_key_env}.")
        if status in (403, 404) or code in ("model_not_found", "insufficient_quota"):
            return UserError(f"{text}\nCheck policy.url, policy.model={self.model} and the account.")
        if status in (408, 409, 425, 429) or status >= 500:
            return _Fault(text, _retry_after(error.response.headers.get("retry-after")))
        if code == "context_length_exceeded" or "context length" in said or "context window" in said:
            return Action({"role": "assistant", "content": ""}, finish="length")
        if self._has_answered:
            return InfraError(text)
        return UserError(f"{text}\nA field that it does not know is left out by policy.extra.FIELD=null.")


class _Fault(InfraError):
    """A failure worth another try, in `wait` seconds at the earliest."""

    def __init__(self, text: str, wait: float = 0.0) -> None:
        super().__init__(text)
        self.wait = wait


def _retry_after(header: str | None) -> float:
    """Seconds that a `Retry-After` header asks for, as a number or as a date; 0 where it says nothing."""
    try:
        return max(0.0, float(header or 0))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(str(header)) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
