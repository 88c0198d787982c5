"""Inside the sandbox, in the zygote: what its processes use, and what they leave."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess

PAGE = os.sysconf("SC_PAGE_SIZE")


def statistics(pid: int) -> tuple[int, int, int, int]:
    """Parent, threads, those that may want a core, resident bytes (proc_pid_stat(5)); zeros once it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0, 0, 0, 0
    threads = int(fields[17])
    return int(fields[1]), threads, threads - (fields[0] != "R"), int(fields[21]) * PAGE  # the state is its first one's


def disk(home: str) -> int:
    """Bytes in use below `home`; of the many files that no plain program has, more than any limit."""
    total, folders, entries = 0, [home], 0
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as listing:
            for entry in listing:
                entries += 1
                if entries > 4096:
                    return 1 << 62
                total += entry.stat(follow_symlinks=False).st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
    return total


def remove(home: str) -> None:
    """Also a tree too deep for Python, or one that was closed to its owner."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(home, ignore_errors=True)
    if os.path.exists(home):
        subprocess.run(["chmod", "-R", "u+rwx", home], stderr=subprocess.DEVNULL, check=False)
        subprocess.run(["rm", "-rf", home], stderr=subprocess.DEVNULL, check=False)
