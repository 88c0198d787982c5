"""Inside the sandbox: which files this process may reach, where no mount namespace says so (landlock(7))."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from agenttrain.sandbox import kernel

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_READ_FILE, _READ_DIRECTORY, _WRITE_FILE, _TRUNCATE = 1 << 2, 1 << 3, 1 << 1, 1 << 14
_OF_FILES = 1 << 0 | _WRITE_FILE | _READ_FILE | _TRUNCATE | 1 << 15
_MAKE_DEVICES = 1 << 6 | 1 << 11
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_ALL_RIGHTS = (1 << 16) - 1
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")


def version() -> int:
    """The kernel's version of Landlock.

    Raises:
        OSError: it has none, or has it switched off.
    """
    return kernel.call("syscall", _CREATE_RULESET, None, 0, 1)


def restrict(readable: Iterable[str], home: str) -> None:
    """From here on: read below `readable` (no package that Python has installed there), anything below `home`."""
    handled = _RIGHTS.get(version(), _ALL_RIGHTS)
    ruleset = kernel.call("syscall", _CREATE_RULESET, struct.pack("Q", handled), 8, 0)
    for path in readable:
        for entry in _without_packages(path):
            _allow(ruleset, entry, handled & (_READ_FILE | _READ_DIRECTORY))
        if os.path.isdir(path):
            _allow(ruleset, path, handled & _READ_DIRECTORY)
    for device in DEVICES:
        _allow(ruleset, device, handled & (_READ_FILE | _WRITE_FILE))
    _allow(ruleset, home, handled & ~(_MAKE_DEVICES | 1 << 0))
    kernel.call("syscall", _RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _without_packages(path: str) -> list[str]:
    """A directory of Python's own modules has those of others within it, which are to be left out."""
    packages = {"site-packages", "dist-packages"}
    if not os.path.isdir(path) or packages.isdisjoint(os.listdir(path)):
        return [path]
    return [str(entry) for entry in Path(path).iterdir() if entry.name not in packages]


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_FILES
        kernel.call("syscall", _ADD_RULE, ruleset, 1, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)
