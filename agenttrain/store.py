"""Trajectory <-> disk: one JSON line per episode, the interface between the commands."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from agenttrain.errors import UserError
from agenttrain.trajectory_record import SCHEMA, digest, from_record, to_record
from agenttrain.types import Trajectory


class Writer:
    """Appends trajectories to a file, each synced to disk before `write` returns.

    Opening sets a torn last line (of a run that was killed) aside to `<path>.torn`, so that its episode is owed again.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        mend(self._path)
        self._file = self._path.open("ab", buffering=0)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._path.stat().st_size == 0:
            self._path.unlink()  # a run that could not begin must not look like one that did

    def write(self, trajectory: Trajectory) -> None:
        """Append one line.

        Raises:
            ValueError: the trajectory holds what JSON cannot (a NaN reward, an object in `feedback`).
        """
        line = _line(trajectory, self._path.parent / "config.yaml")
        start = self._file.seek(0, os.SEEK_END)
        try:
            rest = memoryview(line)
            while rest:  # a disk that is nearly full takes a part, and says why with the next call
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except BaseException:
            self._file.truncate(start)  # else the next line would be glued to this one's stump
            raise


def append(path: str | Path, trajectory: Trajectory) -> None:
    """Append one trajectory to a file that need not exist yet."""
    with Writer(path) as writer:
        writer.write(trajectory)


def read(path: str | Path) -> Iterator[Trajectory]:
    """The trajectories of a file, in order, as they were written; `meta` gains `versions` and `config_hash`.

    A torn last line is left out with a warning. The file is not changed: a run may still be writing it.

    Raises:
        UserError: no such file, a malformed line, or a line of another schema.
    """
    for _, trajectory in numbered(path):
        yield trajectory


def numbered(path: str | Path) -> Iterator[tuple[int, Trajectory]]:
    """As `read`, each with the number of its line, from 1."""
    if not Path(path).is_file():
        raise UserError(f"No trajectory file at {path}. `agenttrain generate-trajectories` writes one.")
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                if not line.endswith(b"\n"):
                    logging.getLogger(__name__).warning("%s:%d: left out a torn last line", path, number)
                    return
                raise UserError(f"{path}:{number}: not JSON ({error}); expected one trajectory a line.") from None
            yield number, _checked(record, f"{path}:{number}")


def _line(trajectory: Trajectory, config: Path) -> bytes:
    """The line of a trajectory; its `id` is a digest of all the rest of it."""
    try:
        record = to_record(trajectory)
        if record["config_hash"] is None and config.is_file():
            record["config_hash"] = digest(config.read_text(encoding="utf-8"))
        body = json.dumps(record, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Attempt {trajectory.attempt} at {trajectory.task.id!r} cannot be stored: {error}") from error
    return f'{{"id": "{digest(body)}", {body[1:]}\n'.encode()


def _checked(record: Any, where: str) -> Trajectory:
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema is None:
        raise UserError(f"{where}: no trajectory. Other forms are read by data=chat, data=sharegpt and data=fireact.")
    if schema != SCHEMA:
        raise UserError(f"{where}: schema is {schema!r}; this version reads {SCHEMA!r}.")
    try:
        return from_record(record)
    except KeyError as error:
        raise UserError(f"{where}: the trajectory lacks the key {error}.") from None
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise UserError(f"{where}: the trajectory is malformed ({error}).") from None


def mend(path: Path) -> None:
    """Make the file end with a whole line; what is torn moves to `<path>.torn`."""
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read() == b"\n":
            return
        file.seek(0)
        whole = file.read()
        start = whole.rfind(b"\n") + 1
        try:
            json.loads(whole[start:])
        except ValueError:
            with path.with_name(f"{path.name}.torn").open("ab") as aside:
                aside.write(whole[start:] + b"\n")
            file.truncate(start)
        else:
            file.write(b"\n")  # only the line end was lost, or an editor took it
