"""Checkpoints on disk -> the newest one that is whole.

TRL resumes in silence to other weights where `optimizer.pt` or `scheduler.pt` is missing, and takes the newest folder
unseen. So a checkpoint is sealed with the sizes of its files once all are written, and only a sealed one is resumed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from agenttrain.errors import UserError

SEAL = "complete.json"
"""File name -> size in bytes, of every file of the checkpoint; written last."""

SHAPE = ("model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
"""What two models must share of their `config.json`, and adapters (`r`) of theirs, to take each other's weights."""


def seal(folder: Path) -> None:
    """Declare a checkpoint complete."""
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in _files(folder)}
    draft = folder / f"{SEAL}.part"
    draft.write_text(json.dumps(sizes, indent=1))
    os.replace(draft, folder / SEAL)


def find_fault(folder: Path) -> str | None:
    """Why a checkpoint must not be resumed from, or None."""
    try:
        sizes: dict[str, int] = json.loads((folder / SEAL).read_text())
    except FileNotFoundError:
        return "it was not written to its end"
    except ValueError:
        return f"its {SEAL} is damaged"
    for name, size in sizes.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} bytes instead of {size}"
    return None


def newest_complete(folder: Path) -> tuple[Path | None, list[str]]:
    """The whole checkpoint of the highest step (None if there is none), and a line for each newer one passed over."""
    skipped: list[str] = []
    found = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    for path in sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")), reverse=True):
        fault = find_fault(path)
        if fault is None:
            return path, skipped
        skipped.append(f"Passing over {path}: {fault}.")
    return None, skipped


def to_continue(out: Path, resume: bool, model: Any) -> tuple[Path | None, list[str]]:
    """The checkpoint that a run into `out` goes on from, if it is to go on and there is one, and what to tell of it.

    Raises:
        UserError: see `check_model`.
    """
    if not resume:
        return None, []
    checkpoint, notes = newest_complete(out / "checkpoints")
    if checkpoint is None:
        return None, [*notes, "No complete checkpoint: from the start."]
    check_model(checkpoint, model)
    return checkpoint, [*notes, f"Going on from {checkpoint}."]


def check_model(folder: Path, model: Any) -> None:
    """Hold the model to train against the one in a checkpoint.

    Raises:
        UserError: they differ in shape, or one is an adapter and the other is not.
    """
    adapters = getattr(model, "peft_config", {})
    file = folder / ("adapter_config.json" if adapters else "config.json")
    if not file.is_file():
        raise UserError(f"{folder} {'has no' if adapters else 'has an'} adapter. Resume with model.lora.r as it was.")
    now = (adapters["default"] if adapters else model.config).to_dict()
    then = json.loads(file.read_text(encoding="utf-8"))
    for name in ("r",) if adapters else SHAPE:
        if name in now and name in then and now[name] != then[name]:
            raise UserError(
                f"{folder} has {name}={then[name]}, the model {now[name]}. Resume with the model as it was."
            )


def _files(folder: Path) -> list[Path]:
    own = {SEAL, f"{SEAL}.part"}
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in own)
