"""Inside the sandbox: the system calls that code of a model may not make (seccomp(2), classic BPF)."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agenttrain.sandbox import kernel

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column of the numbers below, and the kernel's name for it."""

# fmt: off
_NEVER: dict[str, tuple[int | None, int | None]] = {
    # other worlds: namespaces, mounts, modules, machines
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "move_mount": (429, 429), "open_tree": (428, 428), "mount_setattr": (442, 442), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "acct": (163, 89), "mknod": (133, None), "mknodat": (259, 33),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    # other processes, and parts of the kernel that plain code has no use for
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "process_mrelease": (448, 448),
    "migrate_pages": (256, 238), "move_pages": (279, 239), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218),
    # memory that no limit counts, whatever outlives a process, and the network
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "semget": (64, 190),
    "msgget": (68, 186), "mq_open": (240, 180), "socket": (41, 198),
}
_NEVER_ALONE: dict[str, tuple[int | None, int | None]] = {
    # new processes
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    # other processes
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424), "setpriority": (141, 140), "ioprio_set": (251, 30),
    # what Landlock does not cover: metadata of files, whoever owns them
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "truncate": (76, 45),
}
_ABOUT_A_PROCESS: dict[str, tuple[int | None, int | None]] = {
    "kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261), "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
}
_SOMETIMES: dict[str, tuple[int | None, int | None]] = {
    "prctl": (157, 167), "ioctl": (16, 29), "clone": (56, 220), "clone3": (435, 435), "fcntl": (72, 25),
    "open": (2, None), "openat": (257, 56), "openat2": (437, 437),
}
# fmt: on
_NUMBERS = _NEVER | _NEVER_ALONE | _ABOUT_A_PROCESS | _SOMETIMES
_NEWEST = 462
"""Calls above this number came with later kernels: unknown here, and refused."""
_NEW_NAMESPACES, _CLONE_THREAD = 0x7E020000, 0x00010000
_TERMINAL_INPUT, _TERMINAL_CONSOLE = 0x5412, 0x541C
_SET_DEATH_SIGNAL, _SET_OWNER, _SET_OWNER_EX = 1, 8, 15
_ACCESS_MODE_AND_TRUNCATE, _TRUNCATE = 0o1003, 0o1000


@dataclass(frozen=True)
class Refuse:
    """A call to answer with an error: always, or if `argument & mask` is one of `values` (`unless`: none of them)."""

    name: str
    error: int = errno.EPERM
    argument: int | None = None
    values: Sequence[int] = ()
    mask: int = 0xFFFFFFFF
    unless: bool = False


def everywhere() -> list[Refuse]:
    """What is refused in every mode."""
    return [
        *map(Refuse, _NEVER),
        Refuse("prctl", argument=0, values=[_SET_DEATH_SIGNAL]),
        Refuse("ioctl", argument=1, values=[_TERMINAL_INPUT, _TERMINAL_CONSOLE]),
        Refuse("clone", argument=0, values=[0], mask=_NEW_NAMESPACES, unless=True),
        Refuse("clone3", errno.ENOSYS),  # its flags are out of a filter's sight; the C library falls back on clone
    ]


def alone() -> list[Refuse]:
    """What is refused, too, where no namespace keeps this process from the machine's others: it is to stay alone."""
    mine = [0, os.getpid()]  # 0 is the caller; for kill, the group that a process alone in its session has to itself
    return [
        *map(Refuse, _NEVER_ALONE),
        *(Refuse(name, argument=0, values=mine, unless=True) for name in _ABOUT_A_PROCESS),
        Refuse("clone", argument=0, values=[0], mask=_CLONE_THREAD),
        Refuse("fcntl", argument=1, values=[_SET_OWNER, _SET_OWNER_EX]),
        # Landlock before its third version lets a file that may be read be emptied
        Refuse("open", argument=1, values=[_TRUNCATE], mask=_ACCESS_MODE_AND_TRUNCATE),
        Refuse("openat", argument=2, values=[_TRUNCATE], mask=_ACCESS_MODE_AND_TRUNCATE),
        Refuse("openat2", errno.ENOSYS),
    ]


def install(rules: Iterable[Refuse]) -> None:
    """Refuse these calls from here on, in this process and all it starts.

    Raises:
        OSError: the kernel has no seccomp, or the machine is neither x86-64 nor AArch64.
    """
    code = program(rules)
    buffer = ctypes.create_string_buffer(code)
    packed = struct.pack("HL", len(code) // 8, ctypes.addressof(buffer))
    kernel.call("prctl", 22, 2, ctypes.c_char_p(packed), 0, 0)


def program(rules: Iterable[Refuse]) -> bytes:
    """The filter, eight bytes an instruction."""
    if platform.machine() not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no system call table for {platform.machine()}")
    column, architecture = _ARCHITECTURES[platform.machine()]
    code = [_load(4), _jump_equal(architecture, 1, 0), _RETURN_KILL, _load(0)]
    code += [struct.pack("HBBI", 0x25, 0, 1, _NEWEST), _refuse(errno.ENOSYS)]  # also the x32 calls, which lie above
    for rule in rules:
        number = _NUMBERS[rule.name][column]
        if number is not None:
            block = _block(rule)
            code += [_jump_equal(number, 0, len(block)), *block]
    return b"".join([*code, _RETURN_ALLOW])


def _block(rule: Refuse) -> list[bytes]:
    if rule.argument is None:
        return [_refuse(rule.error)]
    code = [_load(16 + 8 * rule.argument), struct.pack("HBBI", 0x54, 0, 0, rule.mask)]
    for left, value in zip(range(len(rule.values), 0, -1), rule.values, strict=True):
        code.append(_jump_equal(value, left, 0))  # to the second instruction after the last comparison
    after = [_refuse(rule.error), _load(0)]
    return code + after if rule.unless else [*code, struct.pack("HBBI", 0x05, 0, 0, 1), *after]


def _load(offset: int) -> bytes:
    return struct.pack("HBBI", 0x20, 0, 0, offset)


def _jump_equal(value: int, then: int, otherwise: int) -> bytes:
    return struct.pack("HBBI", 0x15, then, otherwise, value)


def _refuse(error: int) -> bytes:
    return struct.pack("HBBI", 0x06, 0, 0, 0x00050000 | error)


_RETURN_KILL, _RETURN_ALLOW = struct.pack("HBBI", 0x06, 0, 0, 0x80000000), struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)
