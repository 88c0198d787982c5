"""`agenttrain sft`: records -> examples -> tokens -> a checkpoint that imitates the trained turns."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from agenttrain.errors import UserError
from agenttrain.model.loaded import Model
from agenttrain.trainer.sft import Figures, Sft
from agenttrain.types import Examples
from agenttrain.watch import duration


def sft(
    model: Model,
    data: Examples,
    algo: Sft,
    out: Path,
    seed: int = 0,
    resume: bool = False,
    threads: int | None = 1,
    report_to: list[str] | None = None,
) -> None:
    """Train, and leave `model/`, `report.md`, `metrics.jsonl` and `checkpoints/` in `out`.

    The command line has applied `threads` before torch came in.

    Raises:
        UserError: a fault in the data, a mask, the model folder or the settings.
    """
    if not isinstance(algo, Sft):
        raise UserError(f"algo={type(algo).__name__.lower()} does not learn from records: take algo=sft.")
    examples = list(data)  # before the model: a fault in the data is found in a second
    loaded = model.load(out, trainable=True)
    figures = algo.train(loaded, examples, out, seed, resume, report_to or [])
    if os.environ.get("RANK", "0") == "0":
        _tell(out, loaded.name, facts(data, figures), figures.notes)


def facts(data: Examples, figures: Figures) -> dict[str, str]:
    """What a reader wants to know of a run, in order: records, tokens, losses, time."""
    account, read = figures.account, getattr(data, "report", None)
    dropped = Counter(account.dropped) + (read.dropped if read else Counter())
    untrained = read.untrained if read else Counter()
    known: dict[str, str] = {"records in": f"{read.records if read else account.records}"}
    known |= {"records kept": f"{account.kept} (held out: {figures.heldout_records})"}
    known |= {f"records dropped, {reason}": f"{count}" for reason, count in dropped.most_common() if count}
    known |= {f"turns without loss, {reason}": f"{count}" for reason, count in untrained.most_common() if count}
    known |= {"records truncated": f"{account.truncated}, for {account.lost} tokens with loss"}
    share = account.trained / account.tokens
    known |= {"tokens": f"{account.tokens}, of which {account.trained} ({share:.0%}) with loss"}
    if figures.heldout_before is not None:
        known |= {"held-out loss before": f"{figures.heldout_before:.4f} nats per token with loss"}
        known |= {"held-out loss after": f"{figures.heldout_after:.4f} nats per token with loss"}
    if figures.train_loss is not None:
        known |= {"training loss at the end": f"{figures.train_loss:.4f}"}
    return known | {"steps": f"{figures.steps}", "time": duration(figures.seconds)}


def _tell(out: Path, base: str, known: dict[str, str], notes: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    from agenttrain.model.card import write_card

    write_card(out / "model", base, "supervised fine-tuning on recorded turns", known)
    rows = "".join(f"| {name} | {value} |\n" for name, value in known.items())
    text = f"# Supervised fine-tuning of {base}\n\n| | |\n|---|---|\n{rows}\n" + "".join(f"{note}\n" for note in notes)
    (out / "report.md").write_text(text, encoding="utf-8")

    table = Table(title=f"Supervised fine-tuning of {base}", show_header=False, title_justify="left")
    for name, value in known.items():
        table.add_row(name, value)
    for name, path in {"report": "report.md", "figures": "metrics.jsonl", "model": "model"}.items():
        table.add_row(name, str(out / path))
    console = Console()
    for note in notes:
        console.print(note)
    console.print(table)
