"""The sandbox's outer wall where bubblewrap is installed: a system that can only be read, and no network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from agenttrain.errors import UserError

_SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime")


def command(readable: Collection[str], hidden: Collection[str], shown: dict[str, str]) -> list[str]:
    """What to put before the command that is to run within.

    Args:
        readable: directories and files to be read there, besides the system's own programs and libraries.
        hidden: directories in these that are to be empty.
        shown: what else is to be read, and where.

    Raises:
        UserError: it is not installed.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise UserError("bubblewrap is not installed (command bwrap)")
    arguments = [program, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    arguments += ["--as-pid-1", "--new-session", "--hostname", "sandbox"]
    if os.getuid() == 0:  # what it takes to become nobody, and to kill nobody's processes
        arguments += ["--cap-drop", "ALL"]
        arguments += [part for right in ("SETUID", "SETGID", "KILL") for part in ("--cap-add", f"CAP_{right}")]
    else:
        arguments += ["--unshare-user"]
    bound = dict.fromkeys([*_SYSTEM, *readable])
    above = {str(parent) for path in [*readable, *shown.values()] for parent in Path(path).parents}
    for path in sorted(above - {"/"}):
        if not any(f"{path}/".startswith(f"{outer}/") for outer in bound):
            arguments += ["--perms", "0755", "--dir", path]  # else for their owner alone
    for path in bound:
        arguments += ["--ro-bind-try", path, path]
    for path in hidden:
        if os.path.isdir(path):
            arguments += ["--tmpfs", path]
    for path, place in shown.items():
        arguments += ["--ro-bind", path, place]
    for path in hidden:
        if os.path.isdir(path):
            arguments += ["--remount-ro", path]
    arguments += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev", "--dir", "/tmp"]
    return [*arguments, "--remount-ro", "/"]
