"""The flow's end of the supervisor: start it, read what it reports, have it stop."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, cast

from nightbench.home.private_files import PRIVATE_UMASK, make_private
from nightbench.serving import processes
from nightbench.serving.file_locks import Sleep
from nightbench.serving.hardware.lease_files import Claim
from nightbench.serving.scratch import Scratch

SUPERVISOR = Path(__file__).with_name("supervisor.py")
LOG_MAX_BYTES = 64 << 20
TAIL_LINES = 40
TAIL_BYTES = 65536
MOST_ERRORS = 3  # named before the tail
_ERROR = re.compile(r"\b[A-Za-z_.]*(?:Error|Exception): .*\S")
_NO_ERROR = re.compile(r"\b(?:WARNING|INFO|DEBUG)\b")  # a record that only speaks of one

Isolation = Literal["auto", "watchdog"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorReport:
    """What the supervisor says of its engine. `state`: starting, running, stopping, gone."""

    state: str = "starting"
    reason: str | None = None
    isolation: str | None = None
    engine_pid: int | None = None
    exit_code: int | None = None
    teardown_s: float | None = None
    log_bytes_lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a supervisor is told to run. `record` is what its lease says about it; `launch_id` marks
    all that it starts."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    run_dir: Path
    grace_s: float
    claims: tuple[Claim, ...] = ()
    scratch: Scratch | None = None
    launch_id: str = field(default_factory=lambda: secrets.token_hex(16))
    record: Mapping[str, object] = field(default_factory=dict)
    isolation: Isolation = "auto"
    log_max_bytes: int = LOG_MAX_BYTES
    afterwards: tuple[tuple[str, ...], ...] = ()  # commands that end what is no process of ours

    @property
    def kept_fds(self) -> tuple[int, ...]:
        """What guard and supervisor hold, and nobody below them."""
        kept = tuple(claim.fd for claim in self.claims)
        return (*kept, self.scratch.fd) if self.scratch else kept

    @property
    def log_path(self) -> Path:
        """Where the engine's output goes; what was rotated away lies beside it as `.1`."""
        return self.run_dir / "server.log"

    @property
    def report_path(self) -> Path:
        """Where the supervisor reports."""
        return self.run_dir / "supervisor.json"


class Supervised:
    """An engine under its supervisor."""

    def __init__(self, order: Order) -> None:
        self.order = order
        make_private(order.run_dir)
        order.report_path.unlink(missing_ok=True)  # of an attempt before this one
        spec: dict[str, Any] = {
            "argv": list(order.argv),
            "env": dict(order.env) | _mark(order.launch_id),
            "cwd": str(order.run_dir),
            "secrets": list(order.secrets),
            "log_path": str(order.log_path),
            "log_max_bytes": order.log_max_bytes,
            "report_path": str(order.report_path),
            "leases": [[claim.fd, str(claim.path)] for claim in order.claims],
            "scratch": [order.scratch.fd, str(order.scratch.path)] if order.scratch else None,
            "record": {"launch_id": order.launch_id, **order.record},
            "grace_s": order.grace_s,
            "isolation": order.isolation,
            "afterwards": [list(argv) for argv in order.afterwards],
            "parent_pid": os.getpid(),
        }
        with (order.run_dir / "supervisor.err").open("wb") as errors:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SUPERVISOR)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=order.kept_fds,
                umask=PRIVATE_UMASK,  # the engine's, too
                start_new_session=True,  # a Ctrl-C is for us; the supervisor hears of it from us
                env={"PATH": os.environ.get("PATH", os.defpath)} | _mark(order.launch_id),
            )
        self._pipe = cast("IO[bytes]", self._guard.stdin)
        self._pipe.write(json.dumps(spec).encode() + b"\n")
        self._pipe.flush()
        stat = processes.stat_of(self._guard.pid)
        self._start = stat[1] if stat else 0

    @property
    def pid(self) -> int:
        """The guard, above everything else of this server."""
        return self._guard.pid

    def report(self) -> SupervisorReport:
        """The last report; of a supervisor that could not write one, only that it is starting."""
        try:
            fields = json.loads(self.order.report_path.read_text())
        except (FileNotFoundError, ValueError):
            return SupervisorReport()
        return SupervisorReport(
            **{key: value for key, value in fields.items() if key != "supervisor_pid"}
        )

    def running(self) -> bool:
        """Whether the engine runs. False from the moment its end has begun, for whatever reason."""
        return self._guard.poll() is None and self.report().state in ("starting", "running")

    def request_stop(self, *, kill: bool = False) -> None:
        """Have it stop, without grace if `kill`. Returns at once, works any number of times."""
        if self._pipe.closed:
            return
        try:
            if kill:
                self._pipe.write(b"kill")
                self._pipe.flush()
            self._pipe.close()
        except BrokenPipeError:
            pass  # it is gone already

    def wait(self, timeout_s: float) -> bool:
        """Whether it is gone within `timeout_s`."""
        try:
            self._guard.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        self.request_stop()  # it went by itself: let go of the pipe too
        return True

    def tree(self) -> list[int]:
        """Guard, supervisor, engine and all below, as they live now."""
        alive = [self.pid] if processes.is_same(self.pid, self._start) else []
        return [*alive, *processes.descendants(self.pid)]

    def log_tail(self, lines: int = TAIL_LINES) -> str:
        """The engine's last lines and errors before them; the supervisor has taken secrets out."""
        return tail_of(self.order.log_path, lines)


def _mark(launch_id: str) -> dict[str, str]:
    """What everything of a launch has in its environment. A process that sets its title (as vLLM's
    do) would write over it, unless told not to."""
    return {processes.LAUNCH_VARIABLE: launch_id, "SPT_NOENV": "1"}


def tail_of(path: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log that may just have been rotated, bytes that are no text replaced.

    vLLM ends with "See root cause above", a long traceback below it: errors that stand before the
    last lines come first.
    """
    text = b""
    for part in (path.with_name(path.name + ".1"), path):
        try:
            with part.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
                text += file.read(TAIL_BYTES)
        except FileNotFoundError:
            continue
    return "\n".join(with_errors_before(text.decode(errors="replace").splitlines(), lines))


def with_errors_before(written: Sequence[str], lines: int) -> list[str]:
    """The last `lines` of a log, after the last distinct errors before them and a line "…"."""
    tail = list(written[-lines:])
    before = [line for line in written[:-lines] if not _NO_ERROR.search(line)]
    errors = {said[0]: line for line in before if (said := _ERROR.search(line))}
    missed = [line for said, line in errors.items() if not any(said in line for line in tail)]
    return [*missed[-MOST_ERRORS:], "…", *tail] if missed else tail


class LogFollower:
    """New lines of a growing log, from where the last call ended; rotation starts it over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode, self._offset, self._partial = 0, 0, b""

    def lines(self) -> list[str]:
        """Whole lines written since the last call."""
        try:
            with self._path.open("rb") as file:
                stat = os.fstat(file.fileno())
                if stat.st_ino != self._inode:
                    self._inode, self._offset = stat.st_ino, 0
                file.seek(self._offset)
                data = file.read(max(0, stat.st_size - self._offset))
        except FileNotFoundError:
            return []
        self._offset += len(data)
        *whole, self._partial = (self._partial + data).split(b"\n")
        return [line.decode(errors="replace") for line in whole]


def wait_until(
    condition: Callable[[], bool],
    timeout_s: float,
    *,
    sleep: Sleep = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Whether the condition holds within `timeout_s`; asked 20 times a second."""
    deadline = clock() + timeout_s
    while not condition():
        if clock() > deadline:
            return False
        sleep(0.05)
    return True
