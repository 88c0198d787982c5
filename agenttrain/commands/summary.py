"""The end of a training command: its facts as a report, as the model's card and on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from agenttrain.commands.report import leave
from agenttrain.model.card import write_card


def summarize(
    out: Path, base: str, method: str, facts: Mapping[str, str], notes: Sequence[str] = (), details: str = ""
) -> None:
    """Write `report.md`, `report.html` and `model/README.md` into `out`, print the facts, and where to look.

    `method` is a phrase such as `supervised fine-tuning on recorded turns`; `details` is Markdown for the report alone.
    """
    from rich.console import Console
    from rich.table import Table

    write_card(out / "model", base, method, facts)
    title = f"{base}: {method}"
    rows = "".join(f"| {name} | {value} |\n" for name, value in facts.items())
    told = "".join(f"\n{note}\n" for note in notes)
    (out / "report.md").write_text(f"# {title}\n\n| | |\n|---|---|\n{rows}{told}{details}", encoding="utf-8")

    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in facts.items():
        table.add_row(name, value)
    console = Console(highlight=False)
    for note in notes:
        console.print(note)
    console.print(table)
    leave(out)
    for name, path in {"report": "report.md", "figures": "metrics.jsonl", "model": "model"}.items():
        console.print(f"{name:<8} {out / path}", soft_wrap=True)  # whole, to be copied
