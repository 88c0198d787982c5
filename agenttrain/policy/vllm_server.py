"""Token ids -> sampled ids with log-probs, by a vLLM server that TRL's client speaks to."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from typing import Any

from agenttrain.errors import UserError
from agenttrain.policy.vllm_engine import Answer
from agenttrain.policy.weights import Weights
from agenttrain.types import InfraError


class Server:
    """A vLLM server, with the client of TRL: requests run in threads, weights travel by NCCL between GPUs."""

    def __init__(self, url: str, sampling: dict[str, Any], context: int) -> None:
        """`sampling` as for `InProcess`.

        Raises:
            UserError: no such server, or one that was started without what this needs.
        """
        from trl.generation.vllm_client import VLLMClient

        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise UserError("policy.url serves one process: start without torchrun, or set policy.url=null.")
        self.url, self.sampling = url, dict(sampling)
        try:
            self.client = VLLMClient(base_url=url.rstrip("/").removesuffix("/v1"))
            served = self.client.get_server_info()["model_config"]
        except Exception as error:  # the client raises bare exceptions
            raise UserError(f"policy.url={url}: {' '.join(str(error).split())[:300]}") from error
        if served["logprobs_mode"] != "processed_logprobs":
            raise UserError(f"The server at {url} must be started with --logprobs-mode processed_logprobs.")
        if served["max_model_len"] < context:
            raise UserError(f"The server at {url} serves {served['max_model_len']} tokens: lower policy.context.")
        self.ended: queue.SimpleQueue[tuple[str, Answer | InfraError]] = queue.SimpleQueue()
        self.open = 0

    def ask(self, request: str, ids: list[int], limit: int, seed: int) -> None:
        """See `InProcess.ask`. A daemon thread: one that waits for a server in vain holds up nobody's exit."""
        self.open += 1
        threading.Thread(target=self._ask, args=(request, list(ids), limit, seed), daemon=True).start()

    def answers(self, timeout: float) -> list[tuple[str, Answer | InfraError]]:
        """All that has been answered; if nothing has, waits up to `timeout` seconds for the first answer."""
        answers: list[tuple[str, Answer | InfraError]] = []
        while self.open:
            try:
                answers.append(self.ended.get(timeout=0.0 if answers else timeout))
            except queue.Empty:
                break
            self.open -= 1
        return answers

    def cancel(self, request: str) -> None:
        """TRL's client cannot: the server goes on to the request's limit, and nobody hears the answer."""

    def score(self, ids: list[int]) -> list[float]:
        """See `score`."""
        answer = self.client.get_sequence_logprobs([list(ids)], prompt_lengths=[1], top_logprobs=1)
        return [position[0] for position in answer["actual_logprobs"][0]]

    def load(self, weights: Callable[[], Weights]) -> None:
        """See `InProcess.load`.

        Raises:
            UserError: TRL's transfer needs CUDA here and a server with a weight-transfer engine.
        """
        try:
            if self.client.communicator is None:
                self.client.init_communicator(next(tensor.device for _, tensor in weights()))
            sizes = [(name, str(t.dtype).removeprefix("torch."), list(t.shape)) for name, t in weights()]
            self.client.update_named_params(sizes, weights())
            self.client.reset_prefix_cache()
        except Exception as error:  # the client raises bare exceptions
            said = " ".join(str(error).split())[:300]
            raise UserError(
                f"The server at {self.url} has other weights than the model, and cannot take these: {said}"
            ) from error

    def _ask(self, request: str, ids: list[int], limit: int, seed: int) -> None:
        fields = {"seed": seed, "stop_token_ids": self.sampling["stop_token_ids"]}
        try:
            answer: dict[str, Any] = self.client.generate(
                [ids],
                temperature=self.sampling["temperature"],
                top_p=self.sampling["top_p"],
                max_tokens=limit,
                logprobs=0,
                generation_kwargs=fields,
            )
            tokens, logprobs = answer["completion_ids"][0], answer["logprobs"][0]
            self.ended.put((request, (list(tokens), [position[0] for position in logprobs])))
        except Exception as error:  # whatever it is must reach the loop, or its episode would wait for ever
            self.ended.put((request, InfraError(f"{self.url}: {' '.join(str(error).split())[:300]}")))
