"""What a process gives up for good before it runs what a model wrote.

By seccomp: new processes, sockets, signals to others, and every way to write, create, rename or
remove a file. By Landlock, where the kernel has it: to read anything but Python and the system's
libraries; elsewhere Python itself refuses to (an audit hook), which holds until native code runs.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MEMORY_BYTES = 1024**3
CANNOT_CONFINE = 97

# linux/landlock.h; the calls have one number on every processor
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF, _ASK_VERSION, _PATH_BENEATH = 444, 445, 446, 1, 1
_READ_FILE, _READ_DIR, _ALL_ACCESS = 1 << 2, 1 << 3, (1 << 13) - 1
_FILES = (
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/dev/null",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
)

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER_MODE = 1, 38, 22, 2
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _DENY, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000
# offsets in struct seccomp_data
_NUMBER, _ARCHITECTURE, _SECOND_ARGUMENT, _THIRD_ARGUMENT = 0, 4, 24, 32
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

# name:x86_64:aarch64, numbered by arch/x86/entry/syscalls/syscall_64.tbl and
# include/uapi/asm-generic/unistd.h of Linux. What is newer than these, and x32's second way to all
# of them, has a higher number and is denied too.
DENIED = (
    # processes and signals
    "clone:56:220 clone3:435:435 fork:57: vfork:58: execve:59:221 execveat:322:281 kill:62:129 "
    "tkill:200:130 tgkill:234:131 rt_sigqueueinfo:129:138 rt_tgsigqueueinfo:297:240 "
    "pidfd_open:434:434 pidfd_getfd:438:438 pidfd_send_signal:424:424 "
    # what ends this one with its starter
    "prctl:157:167 "
    # other processes
    "ptrace:101:117 process_vm_readv:310:270 process_vm_writev:311:271 process_madvise:440:440 "
    "process_mrelease:448:448 prlimit64:302:261 setpriority:141:140 sched_setparam:142:118 "
    "sched_setscheduler:144:119 sched_setaffinity:203:122 sched_setattr:314:274 ioprio_set:251:30 "
    "migrate_pages:256:238 move_pages:279:239 kcmp:312:272 perf_event_open:298:241 "
    # sockets
    "socket:41:198 socketpair:53:199 connect:42:203 accept:43:202 accept4:288:242 bind:49:200 "
    "listen:50:201 sendto:44:206 sendmsg:46:211 sendmmsg:307:269 recvmmsg:299:243 "
    "io_uring_setup:425:425 io_uring_enter:426:426 io_uring_register:427:427 "
    # files
    "open:2: creat:85: openat2:437:437 open_by_handle_at:304:265 truncate:76:45 ftruncate:77:46 "
    "fallocate:285:47 rename:82: renameat:264:38 renameat2:316:276 mkdir:83: mkdirat:258:34 "
    "rmdir:84: link:86: linkat:265:37 unlink:87: unlinkat:263:35 symlink:88: symlinkat:266:36 "
    "mknod:133: mknodat:259:33 chmod:90: fchmod:91:52 fchmodat:268:53 chown:92: fchown:93:55 "
    "lchown:94: fchownat:260:54 utime:132: utimes:235: utimensat:280:88 futimesat:261: "
    "setxattr:188:5 lsetxattr:189:6 fsetxattr:190:7 removexattr:197:14 lremovexattr:198:15 "
    "fremovexattr:199:16 ioctl:16:29 fanotify_init:300:262 memfd_create:319:279 "
    # the machine
    "mount:165:40 umount2:166:39 mount_setattr:442:442 move_mount:429:429 open_tree:428:428 "
    "fsopen:430:430 fsconfig:431:431 fsmount:432:432 fspick:433:433 chroot:161:51 "
    "pivot_root:155:41 unshare:272:97 setns:308:268 quotactl:179:60 quotactl_fd:443:443 "
    "acct:163:89 swapon:167:224 swapoff:168:225 reboot:169:142 sethostname:170:161 "
    "setdomainname:171:162 settimeofday:164:170 clock_settime:227:112 adjtimex:159:171 "
    "clock_adjtime:305:266 iopl:172: ioperm:173: init_module:175:105 finit_module:313:273 "
    "delete_module:176:106 kexec_load:246:104 kexec_file_load:320:294 bpf:321:280 "
    "userfaultfd:323:282 syslog:103:116 vhangup:153:58 add_key:248:217 request_key:249:218 "
    "keyctl:250:219 "
    # what outlives a process
    "shmget:29:194 shmat:30:196 shmctl:31:195 semget:64:190 semop:65:193 semtimedop:220:192 "
    "semctl:66:191 msgget:68:186 msgsnd:69:189 msgrcv:70:188 msgctl:71:187 mq_open:240:180 "
    "mq_unlink:241:181 mq_timedsend:242:182 "
)
_FIRST_UNKNOWN = 451
_F_SETOWN, _F_SETOWN_EX = 8, 15  # of fcntl: whom a pipe signals


@dataclass(frozen=True)
class SyscallNumbers:
    """What a filter has to know of a processor's system calls."""

    architecture: int  # as the kernel names it to a filter
    openat: int
    fcntl: int
    denied: tuple[int, ...]


def _numbers(column: int) -> tuple[int, ...]:
    numbers = (call.split(":")[column] for call in DENIED.split())
    return tuple(int(number) for number in numbers if number)


MACHINES = {
    "x86_64": SyscallNumbers(0xC000003E, openat=257, fcntl=72, denied=_numbers(1)),
    "aarch64": SyscallNumbers(0xC00000B7, openat=56, fcntl=25, denied=_numbers(2)),
}


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def end_with(starter: int) -> None:
    """Have the kernel end this process when the thread of `starter` that started it has ended."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != starter:
        os._exit(1)  # it ended before


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
    machine = MACHINES.get(platform.machine())
    if machine is None or sys.platform != "linux":
        return False
    if _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    is_apart = read_only_python()
    if not _install(_filter(machine)):
        return False
    if not is_apart:
        sys.addaudithook(_only_readable())
    return True


def landlock_version() -> int:
    """The kernel's version of Landlock, 0 where it has none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)))


def readable() -> tuple[str, ...]:
    """What a program may read: Python, what it is linked to, and devices that are nobody's."""
    python = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    named = [*sorted(python), "/usr", "/lib", "/lib64", *_FILES]
    return tuple(path for path in named if Path(path).exists())


def read_only_python() -> bool:
    """Give up reading whatever is not `readable`. False where the kernel has no Landlock."""
    if not landlock_version():
        return False
    libc = _libc()
    handled = struct.pack("Q", _ALL_ACCESS)
    ruleset = libc.syscall(_CREATE_RULESET, handled, len(handled), 0)
    if ruleset < 0:
        return False
    for path in readable():
        allowed = _READ_FILE | (_READ_DIR if Path(path).is_dir() else 0)
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", allowed, beneath)
        added = libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
        os.close(beneath)
        if added != 0:
            return False
    restricted = libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return bool(restricted)


def _only_readable() -> Callable[[str, tuple[object, ...]], None]:
    """Where there is no Landlock: an audit hook, which a program of Python alone cannot remove."""
    roots = tuple(os.path.realpath(path) for path in readable())

    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        if event == "ctypes.dlopen" or (event == "import" and "ctypes" in str(arguments[0])):
            raise PermissionError("a program may not load libraries directly")
        if event not in ("open", "os.listdir", "os.scandir") or isinstance(arguments[0], int):
            return  # a number is what is open already
        where = os.path.realpath(os.fsdecode(arguments[0] or "."))  # type: ignore[arg-type]
        if not any(where == root or where.startswith(f"{root}/") for root in roots):
            raise PermissionError(f"a program may not read {where}")

    return refuse


def _filter(machine: SyscallNumbers) -> bytes:
    """A seccomp program: denied calls, opening for writing and naming somebody to signal fail with
    EPERM."""
    lines = [
        _line(_LOAD, _ARCHITECTURE),
        _line(_JUMP_EQUAL, machine.architecture, if_true=1),
        _line(_RETURN, _KILL),
        _line(_LOAD, _NUMBER),
        _line(_JUMP_AT_LEAST, _FIRST_UNKNOWN, if_false=1),
        _line(_RETURN, _DENY),
    ]
    for number in machine.denied:
        lines += [_line(_JUMP_EQUAL, number, if_false=1), _line(_RETURN, _DENY)]
    lines += [
        _line(_JUMP_EQUAL, machine.openat, if_false=4),
        _line(_LOAD, _THIRD_ARGUMENT),
        _line(_JUMP_SET, _WRITING, if_false=1),
        _line(_RETURN, _DENY),
        _line(_RETURN, _ALLOW),
        _line(_JUMP_EQUAL, machine.fcntl, if_false=4),
        _line(_LOAD, _SECOND_ARGUMENT),
        _line(_JUMP_EQUAL, _F_SETOWN, if_true=1),
        _line(_JUMP_EQUAL, _F_SETOWN_EX, if_false=1),
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
    return bool(libc.prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0) == 0)
