"""Token ids -> sampled ids with log-probs, by vLLM in this process.

TRL 1.16's own colocated engine is not used: it loads `model.name_or_path`, which a model that was merged from an
adapter or built here lacks; its weight synchronisation fails on vLLM's CPU builds; and it merges a LoRA adapter into
the trained weights and out again, which rounds them.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch

from agenttrain.errors import UserError
from agenttrain.policy.weights import Weights
from agenttrain.types import InfraError

Answer = tuple[list[int], list[float]]
"""Sampled tokens, the stop token included, and their log-probs in the distribution they were sampled from."""

ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # weights are handed over in memory
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # threads=... has decided
}
"""What vLLM reads from the environment; what the user has set there stays."""


class InProcess:
    """vLLM's engine in this process: requests join the running batch at any time and leave it when they end.

    It begins with random weights (`load` gives it the model's), so nothing but the configuration has to be on disk.
    """

    def __init__(self, model: Any, sampling: dict[str, Any], settings: dict[str, Any]) -> None:
        """`sampling` holds fields of vLLM's `SamplingParams`, `settings` fields of its `EngineArgs`.

        Raises:
            UserError: a quantized model, or whatever vLLM refuses.
        """
        if getattr(model.config, "quantization_config", None):
            raise UserError("policy=vllm serves no quantized model: set model.quantize=null, or take policy=local.")
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from vllm import EngineArgs, LLMEngine, SamplingParams  # type: ignore[attr-defined]  # not the file beside this

        self.params, self.sampling = SamplingParams, sampling
        on_gpu = next(model.parameters()).is_cuda
        if settings["dtype"] == "auto":
            # vLLM would take bfloat16 for a float32 model also where there is no GPU.
            settings["dtype"] = "bfloat16" if on_gpu else str(model.dtype).removeprefix("torch.")
        if not on_gpu:
            # vLLM 0.31 fails on a seeded request whose prompt is read in pieces ("Generator does not use offset").
            whole = {"enable_chunked_prefill": False, "max_num_batched_tokens": max(4096, settings["max_model_len"])}
            settings = whole | settings
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # torchrun: an engine for each process
            settings["distributed_executor_backend"] = "external_launcher"
        causal = model.get_base_model() if hasattr(model, "get_base_model") else model
        with tempfile.TemporaryDirectory() as folder:
            causal.config.save_pretrained(folder)
            fixed = {
                "model": folder,
                "load_format": "dummy",
                "skip_tokenizer_init": True,
                "generation_config": "vllm",
                "logprobs_mode": "processed_logprobs",  # temperature and top_p included, as they are sampled from
                "enable_prefix_caching": True,
                "disable_log_stats": True,
            }
            try:
                self.engine = LLMEngine.from_engine_args(EngineArgs(**{**fixed, **settings}))
            except (TypeError, ValueError, RuntimeError) as error:
                said = " ".join(str(error).split())[:400]
                raise UserError(f"policy=vllm: vLLM cannot serve this model with these settings: {said}") from error

    def ask(self, request: str, ids: list[int], limit: int, seed: int) -> None:
        """Sample at most `limit` tokens after `ids`."""
        params = self.params(**self.sampling, max_tokens=limit, seed=seed, logprobs=0, detokenize=False)
        self.engine.add_request(request, {"prompt_token_ids": list(ids)}, params)

    def answers(self, timeout: float) -> list[tuple[str, Answer | InfraError]]:
        """Step until a quarter of the requests has ended (fewer would make small, dear batches) or the time is up."""
        deadline = time.monotonic() + timeout
        answers: list[tuple[str, Answer | InfraError]] = []
        enough = max(1, self.engine.get_num_unfinished_requests() // 4)
        with _as_it_is():
            while self.engine.has_unfinished_requests() and len(answers) < enough:
                answers += [(out.request_id, _answer(out.outputs[0])) for out in self.engine.step() if out.finished]
                if time.monotonic() > deadline:
                    break
        return answers

    def cancel(self, request: str) -> None:
        """Give a request up."""
        self.engine.abort_request([request])

    def score(self, ids: list[int]) -> list[float]:
        """See `score`; nothing else may be under way."""
        params = self.params(max_tokens=1, prompt_logprobs=0, detokenize=False)
        self.engine.add_request("score", {"prompt_token_ids": list(ids)}, params)
        scored: list[Any] = []
        with _as_it_is():
            while self.engine.has_unfinished_requests():
                scored = [out.prompt_logprobs for out in self.engine.step() if out.finished]
        return [position[token].logprob for token, position in zip(ids[1:], scored[0][1:], strict=True)]

    def load(self, weights: Callable[[], Weights]) -> None:
        """Replace all weights; what the prefix cache holds was computed with the old ones, and goes."""
        self.engine.collective_rpc("reload_weights", kwargs={"weights_iterator": weights()})
        self.engine.apply_model(_repack_head)
        self.engine.reset_prefix_cache()


def _answer(completion: Any) -> Answer:
    tokens = list(completion.token_ids)
    return tokens, [position[token].logprob for token, position in zip(tokens, completion.logprobs, strict=True)]


def _as_it_is() -> AbstractContextManager[Any]:
    """Rollouts run within the trainer's autocast, and vLLM computes in its own type."""
    return torch.autocast("cuda" if torch.cuda.is_available() else "cpu", enabled=False)


def _repack_head(model: Any) -> None:
    """vLLM's CPU builds compute with packed copies of the weights, and reloading leaves out that of an output head
    which is tied to the embeddings."""
    from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead, UnquantizedEmbeddingMethod  # type: ignore

    for module in model.modules():
        if isinstance(module, ParallelLMHead) and isinstance(module.quant_method, UnquantizedEmbeddingMethod):
            module.quant_method.process_weights_after_loading(module)
