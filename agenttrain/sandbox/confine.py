"""Inside the sandbox: from a fork of the zygote to a process that may run code of a model."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from typing import Any, NoReturn

from agenttrain.sandbox import kernel, landlock, seccomp, wire

_CONTROL = 3


def fork_into_namespaces(control: int, disk: int) -> int:
    """The pid of the new namespaces' init, as seen from here; 0 in the process within. `disk` is in MB."""
    reader, writer = os.pipe()
    if not (between := os.fork()):
        try:
            kernel.enter_namespaces()
            if init := os.fork():
                os.write(writer, str(init).encode())
                os._exit(0)
            kernel.mount_private(disk)
            if child := os.fork():
                _be_init(child)
        except BaseException as error:
            fail(control, error)
        return 0
    os.close(writer)
    init = os.read(reader, 20)
    os.close(reader)
    if init:
        os.waitpid(between, 0)
    return int(init or between)  # what failed is ended in the place of what it was to start


def confine(settings: dict[str, Any], parent: int, home: str, memory: int, control: int, output: int) -> socket.socket:
    """Give up, in this process, everything but its home, its two descriptors and time.

    Args:
        parent: pid of the process that forked this one; without namespaces, this one dies with it.
        memory: bytes that it may map.
    """
    os.environ.update(HOME=home, TMPDIR="/tmp" if settings["namespaces"] else home)
    os.chdir(home)
    os.setsid()
    control, output = (fcntl.fcntl(kept, fcntl.F_DUPFD, 10) for kept in (control, output))  # out of the way
    for source, target in ((os.open("/dev/null", os.O_RDONLY), 0), (output, 1), (output, 2), (control, _CONTROL)):
        os.dup2(source, target, inheritable=target != _CONTROL)
    os.closerange(_CONTROL + 1, os.sysconf("SC_OPEN_MAX"))
    kernel.set_limits(
        memory=memory,
        cpu=settings["cpu"],
        # without a user namespace, all that the user runs would be counted
        processes=settings["processes"] if settings["namespaces"] else None,
        files=settings["files"],
        disk=settings["disk"] << 20,
    )
    kernel.drop_capabilities()
    if settings["namespaces"]:
        seccomp.install(seccomp.everywhere())
    else:
        kernel.die_with_parent(parent)
        landlock.restrict(settings["readable"], home)
        seccomp.install([*seccomp.everywhere(), *seccomp.alone()])
    return socket.socket(fileno=_CONTROL)


def _be_init(child: int) -> NoReturn:
    """Reap until the child is gone; with this process, the kernel kills all that is left of its namespace."""
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(128 - code if code < 0 else code)


def fail(control: int, error: BaseException) -> NoReturn:
    """Say to the other side why this process cannot be used, and exit."""
    with contextlib.suppress(OSError):
        os.write(control, wire.pack({"error": f"{type(error).__name__}: {error}"}))
    os._exit(1)
