"""Runs one Python program that a model wrote. Started by `code_sandbox`, with nothing but stdlib.

Before the program runs, this process gives up for good (seccomp, resource limits): new processes,
sockets, signals to others, and every way to write, create, rename or remove a file. Reads from
stdin: a line with a secret, then the program. The secret is written to stdout when the program ran
to its end; `exit(0)` halfway does not know it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
from collections.abc import Sequence

MEMORY_BYTES = 1024**3
CANNOT_CONFINE = 97

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER_MODE = 38, 22, 2
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _DENY, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000
_NUMBER, _ARCHITECTURE, _THIRD_ARGUMENT = 0, 4, 32  # offsets in struct seccomp_data
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

# Numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux.
# Denied are processes, signals, sockets, tracing, mounts, changes to files by path, and what only
# root may do to the machine. Calls from x32's numbers on are a second way to all of them.
_X32 = 0x40000000
_X86_64 = (
    0xC000003E,
    257,  # openat
    (
        *(2, 85, 56, 57, 58, 59, 322, 435, 62, 200, 234, 129, 297, 101, 310, 311, 424, 434, 438),
        *(41, 53, 42, 43, 44, 46, 49, 50, 288, 299, 307, 425, 426, 427),
        *(76, 82, 83, 84, 86, 87, 88, 90, 92, 94, 132, 133, 165, 166, 161, 155, 272, 308),
        *(258, 259, 260, 261, 263, 264, 265, 266, 268, 280, 316, 437, 452, 188, 189, 190, 197, 198),
        *(77, 285, 91, 93, 321, 323, 250, 248, 249, 29, 30, 64, 68, 319),
        *(159, 163, 164, 167, 168, 169, 170, 171, 172, 173, 175, 176, 179, 227, 246, 305, 313, 320),
    ),
)
_AARCH64 = (
    0xC00000B7,
    56,  # openat
    (
        *(220, 221, 281, 435, 129, 130, 131, 138, 240, 117, 270, 271, 424, 434, 438),
        *(198, 199, 203, 202, 206, 211, 200, 201, 242, 269, 243, 425, 426, 427),
        *(45, 38, 33, 34, 35, 36, 37, 276, 40, 39, 51, 41, 97, 268, 46, 47, 52, 53, 54, 55, 452),
        *(88, 5, 6, 7, 14, 15, 16, 280, 282, 219, 217, 218, 437, 186, 190, 194, 279),
        *(60, 89, 104, 105, 106, 112, 142, 161, 162, 170, 171, 224, 225, 266, 273, 294),
    ),
)
_TABLES = {"x86_64": _X86_64, "aarch64": _AARCH64}


def main() -> None:
    """Confine this process, then run the program."""
    secret = sys.stdin.readline().strip()
    program = sys.stdin.read()
    out = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    if not confine():
        os._exit(CANNOT_CONFINE)
    exec(compile(program, "<reply>", "exec"), {"__name__": "__main__"})  # noqa: S102
    os.write(out, secret.encode())


def confine() -> bool:
    """Give up what a program under test has no use for. False where the kernel cannot."""
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, 20),
    ):
        resource.setrlimit(limit, (most, most))
    table = _TABLES.get(platform.machine())
    if table is None or sys.platform != "linux":
        return False
    return _install(_filter(*table))


def _filter(architecture: int, openat: int, denied: Sequence[int]) -> bytes:
    """A seccomp program: `denied` calls and opening for writing fail with EPERM."""
    lines = [
        _line(_LOAD, _ARCHITECTURE),
        _line(_JUMP_EQUAL, architecture, if_true=1),
        _line(_RETURN, _KILL),
        _line(_LOAD, _NUMBER),
        _line(_JUMP_AT_LEAST, _X32, if_false=1),
        _line(_RETURN, _DENY),
    ]
    for number in denied:
        lines += [_line(_JUMP_EQUAL, number, if_false=1), _line(_RETURN, _DENY)]
    lines += [
        _line(_JUMP_EQUAL, openat, if_false=3),
        _line(_LOAD, _THIRD_ARGUMENT),
        _line(_JUMP_SET, _WRITING, if_false=1),
        _line(_RETURN, _DENY),
        _line(_RETURN, _ALLOW),
    ]
    return b"".join(lines)


def _line(code: int, value: int, *, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_void_p))


def _install(lines: bytes) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(lines, len(lines))
    program = _Program(len(lines) // 8, ctypes.addressof(buffer))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0) == 0)


if __name__ == "__main__":
    main()
