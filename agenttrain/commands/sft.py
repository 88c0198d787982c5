"""`agenttrain sft`: records -> examples -> tokens -> a checkpoint that imitates the trained turns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from agenttrain import seen
from agenttrain.commands.summary import summarize
from agenttrain.data.mixture import Mixture
from agenttrain.data.select import Selected
from agenttrain.data.text import Text
from agenttrain.errors import UserError
from agenttrain.model.loaded import Model
from agenttrain.model.threads import settle_threads
from agenttrain.ranges import Count, Whole
from agenttrain.trainer.leakage import leaks
from agenttrain.trainer.sft import Figures, Sft
from agenttrain.watch import duration


def sft(
    model: Model,
    data: Selected | Text | Mixture,
    algo: Sft,
    out: Path,
    seed: Whole = 0,
    resume: bool = False,
    threads: Count | None = None,
    report_to: list[Literal["tensorboard", "trackio", "wandb"]] | None = None,
    heldout: dict[str, Selected | Text | Mixture] | None = None,
) -> None:
    """Train, and leave `model/`, `report.md`, `metrics.jsonl` and `checkpoints/` in `out`.

    `heldout` names sets of records to measure the loss on, in place of a part of `data`.

    Raises:
        UserError: a fault in the data, a mask, the model folder or the settings.
    """
    if not isinstance(algo, Sft):
        raise UserError(f"algo={type(algo).__name__.lower()} does not learn from records: take algo=sft.")
    examples = list(data)  # before the model: a fault in the data is found in a second
    named = {name: list(some) for name, some in (heldout or {}).items()}
    leaked = {name: leaks(examples, some) for name, some in named.items()}
    loaded = model.load(out, trainable=True)
    settle_threads(loaded.model, threads)
    figures = algo.train(loaded, examples, out, seed, resume, report_to or [], named)
    if os.environ.get("RANK", "0") == "0":
        known = facts(data, figures) | {f"seen in training, of {name}": str(found) for name, found in leaked.items()}
        seen.write(out / "model", loaded.name, map(seen.of_example, figures.trained))
        summarize(out, loaded.name, "supervised fine-tuning on recorded turns", known, figures.notes)


def facts(data: Selected | Text | Mixture, figures: Figures) -> dict[str, str]:
    """What a reader wants to know of a run, in order: records, tokens, losses, time."""
    account, read = figures.account, data.report
    dropped = read.dropped + account.dropped
    known = {"records in": f"{read.records}"}
    known |= {"draws" if account.parts else "records kept": f"{account.kept} (held out: {figures.heldout_records})"}
    known |= {f"records dropped, {reason}": f"{count}" for reason, count in dropped.most_common() if count}
    known |= {f"turns without loss, {reason}": f"{count}" for reason, count in read.untrained.most_common() if count}
    known |= {"records truncated": f"{account.truncated}", "tokens with loss cut off": f"{account.lost}"}
    share = account.trained / account.tokens
    known |= {"tokens": f"{account.tokens}, of which {account.trained} ({share:.0%}) with loss"}
    for name, count in sorted(account.parts.items()):
        draws, tokens = count / account.kept, account.trained_of[name] / account.trained
        known |= {f"drawn from {name}": f"{count} records ({draws:.1%}), {tokens:.1%} of the tokens with loss"}
    for name, (before, after) in figures.named.items():
        known |= {f"held-out loss on {name}": f"{before:.4f} before, {after:.4f} after (nats per token with loss)"}
    if figures.heldout_before is not None:
        known |= {"held-out loss before": f"{figures.heldout_before:.4f} nats per token with loss"}
        known |= {"held-out loss after": f"{figures.heldout_after:.4f} nats per token with loss"}
    if figures.train_loss is not None:
        known |= {"training loss at the end": f"{figures.train_loss:.4f}"}
    return known | {"steps": f"{figures.steps}", "time": duration(figures.seconds)}
