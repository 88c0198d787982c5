"""Starts the zygote behind one set of walls, and ends it."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from agenttrain.errors import UserError
from agenttrain.sandbox import bubblewrap, usage

Walls = Literal["bubblewrap", "landlock"]
_ROOT = str(Path(__file__).parents[2])
_PACKAGES = "/packages"
"""Where they are behind bubblewrap: their own place may be below what an episode has of its own, as /tmp is."""
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",  # a warm process with threads could not be forked
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_HOMES = "agenttrain-sandbox-"
_PATIENCE = 20.0
"""Seconds that the zygote may take to start, or to answer."""


class Warm:
    """The zygote's process, and our end of its socket."""

    def __init__(self, walls: Walls, limits: dict[str, int], packages: Sequence[str]) -> None:
        """
        Raises:
            UserError: it did not start, or a process that it forked did not; in words of the kernel's.
        """
        self.owner = os.getpid()
        homes = None if walls == "bubblewrap" else _new_homes()
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(_PATIENCE)
        with tempfile.TemporaryFile() as errors, theirs:
            self.process = subprocess.Popen(
                _command(walls, limits, packages, homes),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={**_ENVIRONMENT, "PYTHONPATH": _ROOT},
                start_new_session=True,
            )
            self.close = weakref.finalize(self, _stop, self.process, self.socket, homes)
            theirs.close()
            fault = self._fault()
            if fault is not None:
                self.close()
                errors.seek(0)
                lines = errors.read().decode(errors="replace").strip().splitlines()
                raise UserError(fault or (lines or ["it ended without a word"])[-1])

    def _fault(self) -> str | None:
        """None if a process can be forked and ended; else what it said, if anything."""
        ours, control = socket.socketpair()
        ours.settimeout(_PATIENCE)
        try:
            with ours, control, open(os.devnull, "wb") as nothing:
                socket.send_fds(self.socket, [b'{"start": -1, "seed": 0}'], [control.fileno(), nothing.fileno()])
                control.close()
                first = ours.recv(4096)[4:]
                self.socket.send(b'{"end": -1, "kill": true}')
                self.socket.recv(4096)
                return json.loads(first).get("error")
        except (OSError, ValueError):
            return ""


def _new_homes() -> str:
    """A folder for the files of episodes, and the end of those whose zygote was killed before it could remove them."""
    for old in Path(tempfile.gettempdir()).glob(f"{_HOMES}*"):
        with contextlib.suppress(OSError):
            if old.stat().st_uid != os.getuid() or time.time() - old.stat().st_mtime < 60:  # not ours, or just made
                continue
            place = os.open(old, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
                usage.remove(str(old))
            finally:
                os.close(place)
    return tempfile.mkdtemp(prefix=_HOMES)


def _stop(process: subprocess.Popen[bytes], ours: socket.socket, homes: str | None) -> None:
    ours.close()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if homes is not None:
        shutil.rmtree(homes, ignore_errors=True)  # of a zygote that could not do so


def _command(walls: Walls, limits: dict[str, int], packages: Sequence[str], homes: str | None) -> list[str]:
    """The zygote's command line; what it holds can be read by code of a model."""
    python = os.path.realpath(sys.executable)
    library = sysconfig.get_path("stdlib")
    shown = [folder for name in packages for folder in _folders(name)]
    settings = {
        **limits,
        "namespaces": walls == "bubblewrap",
        "homes": homes,
        "readable": ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", library, *shown],
        "packages": [_PACKAGES] if walls == "bubblewrap" else sorted({str(Path(folder).parent) for folder in shown}),
        "preload": list(packages),
        "hidden": [_ROOT],
    }
    run = [python, "-sSP", "-m", "agenttrain.sandbox.zygote", json.dumps(settings)]
    if walls == "landlock":
        return run
    own = {path: path for path in (f"{_ROOT}/agenttrain/__init__.py", f"{_ROOT}/agenttrain/sandbox")}
    own |= {path: f"{_PACKAGES}/{Path(path).name}" for path in shown}
    hidden = [f"{library}/site-packages", f"{library}/dist-packages"]
    outside = [] if sys.base_prefix == "/usr" else [sys.base_prefix]
    return [*bubblewrap.command(outside, hidden, own), "--", *run]


def _folders(package: str) -> list[str]:
    """Where an installed package lies: its folder or file, and the libraries beside it."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise UserError(f"env.packages: no package {package} is installed here.")
    place = Path(found.origin)
    if found.submodule_search_locations is None:
        return [str(place)]
    libraries = place.parent.with_name(f"{package}.libs")
    return [str(place.parent), *([str(libraries)] if libraries.is_dir() else [])]
