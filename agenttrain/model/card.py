"""A trained model's folder -> its README.md: what it was made from, how, and what to compare it with."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path


def write_card(folder: Path, base: str, method: str, facts: Mapping[str, object]) -> None:
    """Write `<folder>/README.md`.

    `base` is the model that was trained, `method` a phrase that completes "It was trained by"; `facts` become a list.
    """
    adapter = (folder / "adapter_config.json").exists()
    lines = [
        "---",
        f"library_name: {'peft' if adapter else 'transformers'}",
        "tags: [agenttrain]",
        "---",
        f"# {folder.absolute().parent.name}",
        "",
        f"{'An adapter for' if adapter else 'A model that began as'} `{base}`. It was trained by {method}.",
        "",
        *(f"- {name}: {value}" for name, value in facts.items()),
        "",
        f"agenttrain {metadata.version('agenttrain')}; `config.yaml` beside this folder holds every setting.",
    ]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
