"""The folder of one run: refused if another run lives there, given its `config.yaml`, taken back if nothing came."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agenttrain.errors import UserError


def check(out: Path, resume: bool | None) -> None:
    """Refuse an `out` that another run has filled.

    Raises:
        UserError: it is a file, or has content and `resume` is false (None: the command has nothing to resume).
    """
    if not _first_process():
        return
    if out.exists() and not out.is_dir():
        raise UserError(f"out={out} is a file; name a folder")
    if not resume and out.is_dir() and {p.name for p in out.iterdir()} - {"config.yaml"}:
        go_on = "" if resume is None else ", or continue with resume=true"
        raise UserError(f"{out} holds an earlier run. Choose another folder with out=...{go_on}")


@contextmanager
def opened(out: Path, config: str) -> Iterator[None]:
    """Write `config.yaml`; a run that a user's fault ends before it wrote anything else leaves no trace of itself.

    Raises:
        UserError: the folder cannot be written.
    """
    if not _first_process():
        yield
        return
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    file = out / "config.yaml"
    try:
        before = file.read_text() if file.exists() else None
        out.mkdir(parents=True, exist_ok=True)
        file.write_text(config)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(f"cannot write to out={out}: {error.strerror}") from error
    try:
        yield
    except UserError:
        if before is not None:
            file.write_text(before)  # of the run that this one was to continue
        if {p.name for p in out.iterdir()} <= {"config.yaml", "base"}:
            shutil.rmtree(out / "base", ignore_errors=True)  # a model that was built, and not trained
            (out / "config.yaml").unlink()
            for folder in made:
                if not any(folder.iterdir()):
                    folder.rmdir()
        raise


def summary(out: Path) -> dict[str, Any]:
    """What a finished run left, for a program: its files, and its figures (of training, the last of each)."""
    figures: dict[str, Any] = {}
    written = [out / name for name in ("eval.json", "figures.json", "credit_check.json") if (out / name).is_file()]
    if written:
        figures = json.loads(written[0].read_text(encoding="utf-8"))
    elif (out / "metrics.jsonl").is_file():
        for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
            figures |= json.loads(line)
    files = sorted(f"{path.name}/" if path.is_dir() else path.name for path in out.iterdir())
    return {"out": str(out), "files": files, "figures": figures}


def _first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"
