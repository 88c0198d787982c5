"""Trajectory -> a number after each of its turns: a language model's trunk under a scalar head, in Hugging Face form.

What it reads of an episode is rendered from its messages by its own tokenizer, whoever played, up to the last action:
never what the environment answered to that, which often tells the outcome.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agenttrain.errors import UserError
from agenttrain.model.loaded import Loaded
from agenttrain.model.lora import adapted
from agenttrain.model.pretrained import Pretrained, base_of, quiet
from agenttrain.types import Trajectory

if TYPE_CHECKING:
    from agenttrain.model.chat import Chat


WANTED = "`agenttrain reward-model` writes one to <out>/model."


@dataclass
class Scorer:
    """A sequence classifier of one label, with everything that belongs to it."""

    model: Any
    tokenizer: Any
    chat: Chat
    path: str
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def name(self) -> str:
        """Its path, and 12 hex digits of its head, which no two trainings share."""
        head = self.model.score.weight.detach().float().cpu().numpy().tobytes()
        return f"{self.path}@{sha256(head).hexdigest()[:12]}"

    @property
    def context(self) -> int:
        """Most tokens that it can read."""
        return int(self.model.config.get_text_config().max_position_embeddings)

    def encode(self, trajectory: Trajectory) -> tuple[list[int], list[int]]:
        """Its tokens, and of each turn the place of the token at which the turn is scored.

        That is where the environment's answer ends, and the next action would begin. Of the last turn it is the
        action's last token, or the one before it if that is also the padding: where transformers looks for the score of
        a sequence that ends there.
        """
        ids = self.chat.open(trajectory.messages, trajectory.tools)
        places: list[int] = []
        for number, turn in enumerate(trajectory.turns):
            if number:
                ids += self.chat.extend(trajectory.turns[number - 1].observation.messages)
                places.append(len(ids) - 1)
            ids += self.chat.reply(turn.action.message)
        places += [len(ids) - 1 - (ids[-1] == self.chat.pad_id)] if trajectory.turns else []
        return ids, places

    def score(self, trajectories: Sequence[Trajectory], batch_size: int = 16) -> list[list[float]]:
        """For each trajectory one logit per turn; one caller at a time, whatever thread it comes from.

        Raises:
            ValueError: an episode is longer than the model's context.
        """
        import torch

        encoded = [self.encode(trajectory) for trajectory in trajectories]
        if (longest := max((len(ids) for ids, _ in encoded), default=0)) > self.context:
            raise ValueError(f"an episode has {longest} tokens, and {self.path} reads {self.context}")
        scores: list[list[float]] = []
        with self._lock, torch.no_grad():
            self.model.eval()
            for start in range(0, len(encoded), batch_size):
                rows = encoded[start : start + batch_size]
                logits = self.logits(*_padded([ids for ids, _ in rows], self.chat.pad_id)).cpu()
                scores += [logits[n, places].tolist() for n, (_, places) in enumerate(rows)]
        return scores

    def logits(self, ids: Any, mask: Any) -> Any:
        """The head at every token; `(rows, T)` in and out."""
        return token_logits(self.model, ids, mask)

    def save(self, folder: Path) -> None:
        """Write it in Hugging Face form: `AutoModelForSequenceClassification` (or its adapter) and a tokenizer."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def token_logits(model: Any, ids: Any, mask: Any) -> Any:
    """The head of a sequence classifier at every token, where its own forward gives the last one's alone."""
    device = model.device
    classifier = model.get_base_model() if hasattr(model, "peft_config") else model
    hidden = classifier.base_model(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False)[0]
    return classifier.score(hidden).squeeze(-1).float()


def on_trunk(loaded: Loaded) -> Scorer:
    """A scorer on the trunk of a language model (which it takes over), with a head of zeros; where the model has an
    adapter, with a fresh one of the same shape, to which the head belongs.

    Raises:
        UserError: the model is quantized, or its architecture has no classifier in transformers.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    if getattr(loaded.model, "is_quantized", False):
        raise UserError("A reward model's base cannot be quantized: set model.quantize=null.")
    adapters = getattr(loaded.model, "peft_config", {})
    trunk: Any = loaded.model.unload() if adapters else loaded.model
    config = trunk.config
    config.num_labels, config.pad_token_id = 1, loaded.chat.pad_id
    try:
        with torch.device("meta"):  # its trunk is replaced at once
            model: Any = AutoModelForSequenceClassification.from_config(config)
        head = model.score
    except (ValueError, AttributeError):
        raise UserError(f"transformers puts no scalar head on a {config.model_type}: take another model.") from None
    setattr(model, model.base_model_prefix, trunk.base_model)
    model.name_or_path = trunk.name_or_path
    model.score = _head(head.in_features, trunk.device)
    if adapters:
        model = adapted(model, replace(adapters["default"], task_type="SEQ_CLS"))
    return Scorer(model, loaded.tokenizer, loaded.chat, loaded.name)


def _head(width: int, device: Any) -> Any:
    """Zeros, in float32 also on a trunk of bfloat16, in which a small learning rate's steps are rounded away."""
    import torch

    head = torch.nn.Linear(width, 1, bias=False, device=device, dtype=torch.float32)
    torch.nn.init.zeros_(head.weight)
    head.register_forward_pre_hook(lambda module, inputs: (inputs[0].to(module.weight.dtype),))
    return head


@cache
def read(path: str) -> Scorer:
    """The scorer in a folder (also an adapter's that `reward-model` wrote) or on the hub; read once, however many
    rewards use it.

    Raises:
        UserError: there is none.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    from agenttrain.model.chat import Chat

    quiet()
    place = str(Path(path).expanduser())
    if (file := Path(place) / "adapter_config.json").is_file():
        return _read_adapter(path, place, json.loads(file.read_text(encoding="utf-8")))
    try:
        config = AutoConfig.from_pretrained(place)
        # Of another model transformers would make a classifier with a random head.
        if not any("SequenceClassification" in name for name in config.architectures or ()) or config.num_labels != 1:
            raise UserError(f"{path} is no reward model (a sequence classifier of one label). {WANTED}")
        model = AutoModelForSequenceClassification.from_pretrained(place)
        tokenizer = AutoTokenizer.from_pretrained(place)
    except (OSError, ValueError, SafetensorError) as error:
        said = str(error).strip().splitlines()[0]
        raise UserError(f"There is no reward model at {path} ({said}).\n{WANTED}") from error
    if not hasattr(model, "score"):
        raise UserError(f"{path} has no linear head of the name `score`, as reward models of TRL have.")
    model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    return Scorer(model, tokenizer, Chat(tokenizer), path)


def _read_adapter(path: str, place: str, adapter: dict[str, Any]) -> Scorer:
    """On its base, and not merged into it: so the scores are those that were trained."""
    from peft import PeftModel
    from safetensors import SafetensorError

    # Without a head of its own it would have that of zeros.
    if adapter.get("task_type") != "SEQ_CLS" or "score" not in (adapter.get("modules_to_save") or ()):
        raise UserError(f"{path} is no reward model, but an adapter without a scalar head. {WANTED}")
    try:
        scorer = on_trunk(Pretrained(path=base_of(place, adapter)).load())
        scorer.model = PeftModel.from_pretrained(scorer.model, place)
    except UserError as error:
        raise UserError(f"{error}\n{path} is an adapter, and that is the model it belongs to.") from error
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"Cannot read the adapter {path}: {str(error).strip().splitlines()[0]}") from error
    return replace(scorer, path=path)


def _padded(rows: Sequence[list[int]], pad: int) -> tuple[Any, Any]:
    import torch

    width = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    return ids, torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
