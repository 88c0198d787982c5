"""A run's episodes -> a file that others' tools read."""

from __future__ import annotations

import json
from pathlib import Path

from agenttrain import inspect_log, store
from agenttrain.errors import UserError


def export(place: Path, out: Path | None = None, as_json: bool = False) -> None:
    """Write the episodes of a run's folder, or of a trajectory file, as a log of Inspect, and say where it is.

    Args:
        out: the file, called `.eval`; None for `episodes.eval` beside the trajectories.
        as_json: say it as one JSON object.

    Raises:
        UserError: no episodes there, Inspect is not installed, or the file cannot be written.
    """
    source = place / "trajectories.jsonl" if place.is_dir() else place
    file = out or source.with_name("episodes.eval")
    try:
        count = inspect_log.write(store.read(source), file)
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        raise UserError(f"{file} cannot be written: {error.strerror}.") from None
    if as_json:
        print(json.dumps({"episodes": count, "file": str(file)}))
    else:
        print(f"{count} episodes in {file}: inspect view --log-dir {file.parent}")
