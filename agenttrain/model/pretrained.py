"""Any causal language model from a folder or the hub -> memory: full weights, a LoRA adapter, or 4 and 8 bit."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass, field
from logging import LogRecord
from pathlib import Path
from typing import Any, Literal

from agenttrain.errors import UserError
from agenttrain.model.loaded import Loaded
from agenttrain.model.lora import Lora


@dataclass(frozen=True)
class Pretrained:
    """A model in Hugging Face form."""

    path: str | None = None
    """A folder (also one with an adapter that `sft` or `rl` wrote) or a name on the hub. An adapter is merged into its
    base; over a quantized base, where that would not be exact, it stays and itself goes on training."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of the weights in memory; `auto` as they were saved, but float32 where there is no GPU and where the full
    weights are trained: a small learning rate's steps are rounded away in bfloat16."""
    quantize: Literal[4, 8] | None = None
    """Bits per weight of the frozen base (QLoRA); needs CUDA, bitsandbytes and an adapter."""
    attention: str | None = None
    """Attention kernel of transformers (`sdpa`, `eager`, `flash_attention_2`); null lets transformers choose."""
    lora: Lora = field(default_factory=Lora)
    """The adapter to train."""

    def check(self) -> None:
        """See `agenttrain.model.loaded.Model`."""
        if not self.path:
            raise UserError("model.path is not set. Name a folder or a hub model, or take model=tiny.")
        _inspect(self._place())

    def load(self, workdir: Path | None = None, trainable: bool = False) -> Loaded:
        """See `agenttrain.model.loaded.Model`."""
        self.check()
        return read(self, self._place(), trainable)

    def _place(self) -> str:
        path = self.path or ""
        return str(Path(path).expanduser()) if path.startswith("~") else path


def read(options: Pretrained, path: str, trainable: bool) -> Loaded:
    """Load `path` as `options` say. The one way in which any model comes to memory, also one that was just built."""
    quiet()
    adapter = _inspect(path)
    base = base_of(path, adapter) if adapter else path
    model: Any = _merged(options, path, trainable)
    tokenizer = _tokenizer(path if (Path(path) / "tokenizer_config.json").exists() or not adapter else base, options)
    # Imported late: it brings in TRL.
    from agenttrain.model.chat import Chat

    frozen = options.quantize is not None
    if trainable and options.lora.r > 0 and not (adapter and frozen):
        model = options.lora.attach(model)
    elif trainable and frozen and not adapter:
        raise UserError(
            f"model.quantize={options.quantize} freezes the weights: train an adapter with model.lora.r=16."
        )
    return Loaded(model, tokenizer, Chat(tokenizer), name=path)


def _merged(options: Pretrained, path: str, trainable: bool) -> Any:
    """The weights at `path`; of an adapter, those of its base (which may be one too) with it."""
    adapter = _inspect(path)
    if adapter is None:
        model = _weights(options, path, trainable)
        if trainable and options.quantize is not None:
            from peft import prepare_model_for_kbit_training

            model = prepare_model_for_kbit_training(model)
        return model
    from peft import PeftModel

    try:
        base = _merged(options, base_of(path, adapter), trainable)
    except UserError as error:
        raise UserError(f"{error}\n{path} is an adapter, and that is the model it belongs to.") from error
    if isinstance(base, PeftModel):
        raise UserError(f"{path} is an adapter upon an adapter: set model.quantize=null, so that they can be merged.")
    model = PeftModel.from_pretrained(base, path, is_trainable=trainable)
    if options.quantize is not None:
        return model
    # Exact, as fast as the base model, and a new adapter can be put on top, which must name this one as its base.
    model = model.merge_and_unload().requires_grad_(trainable)  # peft had frozen the base
    model.name_or_path = path
    return model


def base_of(path: str, adapter: dict[str, Any]) -> str:
    """What an adapter belongs to. A base that was built for its run lies beside it, wherever the two have gone."""
    recorded = str(adapter["base_model_name_or_path"])
    beside = Path(path).parent / "base"
    return str(beside) if Path(recorded).name == "base" and beside.is_dir() else recorded


def quiet() -> None:
    """Silence transformers' bars for reading and writing weights, and what it warns of without a cause."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing")  # peft and TRL ask in the old way
    # An output head that is tied to the embeddings is not saved twice.
    logging.get_logger("transformers.trainer").addFilter(_is_no_tied_head)  # type: ignore[arg-type]


def _is_no_tied_head(record: LogRecord) -> bool:
    return "missing keys in the checkpoint model loaded: ['lm_head.weight']" not in record.getMessage()


def _inspect(path: str) -> dict[str, Any] | None:
    """Say early and plainly if `path` is no model folder; the adapter's configuration if it holds an adapter."""
    folder = Path(path).expanduser()
    if not folder.exists():
        looks_local = path.startswith((".", "/", "~")) or path.count("/") != 1
        if looks_local or folder.parts[0] == "runs":
            raise UserError(f"There is no folder {path} (model.path).")
        return None
    if (folder / "adapter_config.json").is_file():
        return json.loads((folder / "adapter_config.json").read_text())
    if not (folder / "config.json").is_file():
        files = [*folder.glob("model/*config.json"), *sorted(folder.glob("*/config.json"))]  # of a run, what it trained
        nested = next((file.parent for file in files), None)
        hint = f" Did you mean model.path={nested}?" if nested else ""
        raise UserError(f"{path} is no model folder: it has no config.json.{hint}")
    return None


def _weights(options: Pretrained, path: str, trainable: bool) -> Any:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))  # else every process would begin on the first
    extra: dict[str, Any] = {}
    if options.quantize is not None:
        if not cuda:
            raise UserError(f"model.quantize={options.quantize} needs a CUDA GPU; set model.quantize=null.")
        from transformers import BitsAndBytesConfig

        extra["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=options.quantize == 4,
            load_in_8bit=options.quantize == 8,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=torch.bfloat16,
            bnb_4bit_use_double_quant=True,
        )
    if options.attention:
        extra["attn_implementation"] = options.attention
    dtype = _dtype(options, trainable, cuda)
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(
            path, revision=options.revision or "main", dtype=dtype, **extra
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"Cannot load the model {path}: {_first_line(error)}") from error
    return model.to("cuda") if cuda and options.quantize is None else model


def _dtype(options: Pretrained, trainable: bool, cuda: bool) -> str:
    trained_whole = trainable and not options.lora.r and options.quantize is None
    return "float32" if options.dtype == "auto" and (trained_whole or not cuda) else options.dtype


def _tokenizer(path: str, options: Pretrained) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path, revision=options.revision or "main")
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot load the tokenizer of {path}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
