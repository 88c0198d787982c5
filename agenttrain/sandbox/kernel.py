"""Inside the sandbox: the few system calls that Python has no function for (user_namespaces(7), capabilities(7))."""

from __future__ import annotations

import ctypes
import os
import resource
import struct

_libc = ctypes.CDLL(None, use_errno=True)

NEWNS, NEWUSER, NEWPID = 0x00020000, 0x10000000, 0x20000000
_NOSUID_NODEV, _READ_ONLY, _BIND = 0x6, 0x1, 0x1000
_PDEATHSIG, _DUMPABLE, _BOUNDING_DROP, _NO_NEW_PRIVILEGES, _SUBREAPER = 1, 4, 24, 38, 36
_CAPABILITY_VERSION_3, _LAST_CAPABILITY = 0x20080522, 40
NOBODY = 65534
HOME = os.path.join("/tmp", "home")
"""Of a process in namespaces."""


def call(name: str, *arguments: object) -> int:
    """A function of the C library.

    Raises:
        OSError: it returned -1.
    """
    result = getattr(_libc, name)(*arguments)
    if result == -1:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return result


def enter_namespaces() -> None:
    """Leave for a user, a pid (of the next child) and a mount namespace of this process's own.

    Root becomes nobody first: the kernel exempts the real root from the limit on processes, in any namespace.
    """
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        call("prctl", _DUMPABLE, 1, 0, 0, 0)  # or /proc/self still belongs to root
    user, group = os.getuid(), os.getgid()
    call("unshare", NEWUSER | NEWPID | NEWNS)
    for name, line in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(line)


def mount_private(megabytes: int) -> None:
    """One small file system in memory behind /tmp and /dev/shm, gone with the episode, and nothing in /proc."""
    options = f"size={megabytes}m,nr_inodes=4096,mode=700".encode()
    call("mount", b"episode", b"/tmp", b"tmpfs", _NOSUID_NODEV, options)
    os.chdir("/tmp")
    for name, place in ((b"shm", b"/dev/shm"), (b"tmp", b"/tmp")):
        os.mkdir(name, 0o700)
        call("mount", name, place, None, _BIND, None)
    os.mkdir(HOME, 0o700)
    call("mount", b"nothing", b"/proc", b"tmpfs", _NOSUID_NODEV | _READ_ONLY, b"size=4k,mode=555")


def drop_capabilities() -> None:
    """None held, none to be had from a program with special rights."""
    for capability in range(_LAST_CAPABILITY + 1):
        _libc.prctl(_BOUNDING_DROP, capability, 0, 0, 0)  # fails without rights: then there are none to drop
    call("capset", struct.pack("Ii", _CAPABILITY_VERSION_3, 0), struct.pack("6I", *[0] * 6))
    call("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """Be killed when `parent` dies, whatever it died of."""
    call("prctl", _PDEATHSIG, 9, 0, 0, 0)
    if os.getppid() != parent:  # it was quicker
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent has died."""
    call("prctl", _SUBREAPER, 1, 0, 0, 0)


def set_limits(memory: int, cpu: int, processes: int | None, files: int, disk: int) -> None:
    """Hard limits of this process and all that it starts, each for itself; memory and disk in bytes."""
    for kind, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_NOFILE, files),
        (resource.RLIMIT_FSIZE, disk),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        if limit is None:
            continue
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (limit, limit))
