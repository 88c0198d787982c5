"""Runs -> one self-contained HTML file, in which texts of agents are data and never markup.

All data is JSON, deflated and in base64, so that no character of it can end an element or begin one. A policy in the
page's head lets run only the page's own script and style, named by their hashes, and lets no request leave. Details of
episodes lie in chunks that are unpacked when one of them is opened: the file opens as fast with a thousand as with ten.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from agenttrain.report.curves import charts
from agenttrain.report.episodes import Entry, detail, entry, readable
from agenttrain.report.run import Run
from agenttrain.terminal import visible

SCRIPTS = ("dom", "data", "charts", "overview", "list", "tokens", "episode", "main")
"""Files of the page's script, in the order in which they are joined."""
CHUNK = 256_000
"""Characters of JSON after which a chunk is closed: it unpacks within a frame or two."""


@dataclass(frozen=True)
class Content:
    """What a page shows, packed: a file holds it, and a server hands it out."""

    title: str
    index: str
    chunks: list[str]


def content(runs: Sequence[Run]) -> Content:
    """The data of one run, or of two to be compared."""
    index: dict[str, Any] = {"runs": [], "charts": charts([run.rows for run in runs])}
    chunks: list[str] = []
    for run in runs:
        entries = []
        for listed, details in _chunked(run):
            entries += [{**entry, "chunk": len(chunks), "place": place} for place, entry in enumerate(listed)]
            chunks.append(_pack(details))
        index["runs"].append(about(run) | {"episodes": entries})
    return Content(visible(" and ".join(run.label for run in runs)), _pack(index), chunks)


def html(data: Content, state: str = "") -> str:
    """The whole page. One that is served has in it the name of its `state`, and asks its server for newer ones."""
    style, script = _file("page.css"), "\n".join(_file(f"{name}.js") for name in SCRIPTS)
    allowed = ["default-src 'none'", f"script-src {_hash(script)}", f"style-src {_hash(style)}"]
    allowed += ["base-uri 'none'", "form-action 'none'", *(["connect-src 'self'"] if state else [])]
    filled = {
        "policy": "; ".join(allowed),
        "title": data.title.replace("&", "&amp;").replace("<", "&lt;"),
        "style": style,
        "script": script,
        "index": data.index,
        "chunks": "\n".join(f'<script type="text/plain" class="chunk">{chunk}</script>' for chunk in data.chunks),
        "state": state,
    }
    parts = _file("page.html").split("%%")  # text, name, text, name, ..., text
    return "".join(filled[part] if number % 2 else part for number, part in enumerate(parts))


def about(run: Run) -> dict[str, Any]:
    """All of a run but its figures by step and its episodes, as JSON values."""
    return {
        "label": visible(run.label),
        "command": run.command,
        "chosen": run.chosen(),
        "facts": run.facts,
        "summary": readable(run.summary),
        "findings": [asdict(finding) for finding in run.findings()],
        "seen": run.kept.seen,
        "words": run.words.known,
    }


def _chunked(run: Run) -> Iterator[tuple[list[Entry], list[Entry]]]:
    """List entries and details of neighbouring episodes."""
    listed: list[Entry] = []
    details: list[Entry] = []
    size = 0
    for group in run.kept.groups():
        for trajectory in group:
            listed.append(entry(trajectory, group))
            details.append(detail(trajectory, run.words))
            size += len(json.dumps(details[-1]))
            if size > CHUNK:
                yield listed, details
                listed, details, size = [], [], 0
    if listed:
        yield listed, details


def _pack(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 6)).decode()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _file(name: str) -> str:
    return (files("agenttrain.report") / "page" / name).read_text(encoding="utf-8")
