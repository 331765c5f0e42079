"""The process that stands between nightbench and an engine, and outlives neither by much.

Run as a file with nothing but the standard library; it starts in well under 100 ms.

    flow ──pipe──► guard ──► supervisor ──► [unshare ──►] init ──► the engine's whole tree
                   lock      lock, log      PID namespace

* The flow's death in any way closes the pipe: the supervisor stops the engine (SIGTERM, grace,
  SIGKILL to every descendant, wherever it reparented: guard, supervisor and init are subreapers).
* The supervisor's death leaves its orphans to the guard, which kills them; the guard's death closes
  the pipe between the two, and the supervisor stops the engine.
* Where the kernel allows it the engine lives in a PID namespace, which ends with its init.
* Guard and supervisor hold the lease's locks (inherited descriptors, closed before the engine is
  started), so hardware is free when the engine is gone, and not before.
* The lease files carry a record of every process, with start times, for the reaper: it is needed
  only when guard and supervisor are killed together where there is no PID namespace. They go when
  the engine is gone, and with them the engine's temporary folder.
* The launch's id is in the environment of all of them.

No PR_SET_PDEATHSIG towards the flow: it fires when the creating *thread* ends, and tasks run in
threads. The spec comes as one line of JSON on stdin, so that no key is ever on a command line.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

# Run as a file, without site-packages: the package is found from here.
if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))

from nightbench.serving.processes import (
    boot_id,
    descendants,
    kill_all,
    parent_of,
    reap_children,
    stat_of,
)
from nightbench.serving.supervise.engine_log import Log
from nightbench.serving.supervise.supervised_files import (
    MAX_PROCESSES,
    remove_folder,
    remove_lease,
    write_lease,
)

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
RECORD_EVERY_S = 1.0
POLL_STOPPING_S = 0.02
AFTERWARDS_S = 10.0
NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
NAMESPACE_AS_USER = (*NAMESPACE, "--user", "--map-current-user")


def prctl(option: int, value: int) -> None:
    """prctl(2); a kernel that refuses it is one protection less, not a failure."""
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


# ---------------------------------------------------------------- files


def write_json(path: str, value: dict[str, Any]) -> None:
    """Replace a file by rename, so that a reader sees the old or the new one."""
    try:
        with open(path + ".new", "w") as file:  # noqa: PTH123
            json.dump(value, file)
        os.replace(path + ".new", path)  # noqa: PTH105
    except OSError as error:  # a full disk must not keep the engine alive
        print(f"supervisor: {path}: {error}", file=sys.stderr)


def let_go(spec: dict[str, Any]) -> None:
    """The engine is gone: remove its temporary folder, and give its hardware back."""
    if spec["scratch"]:
        fd, path = spec["scratch"]
        remove_folder(Path(path), fd)
    for fd, path in spec["leases"]:
        try:
            remove_lease(Path(path), fd)
        except OSError as error:  # nobody holds it, once we are gone
            print(f"supervisor: lease: {error}", file=sys.stderr)


# ---------------------------------------------------------------- the three roles


class Supervisor:
    """Starts the engine, keeps its log and its record, and stops it."""

    def __init__(self, spec: dict[str, Any], guard_pipe: int) -> None:
        self.spec, self.guard_pipe = spec, guard_pipe
        self.log = Log(spec["log_path"], spec["log_max_bytes"], spec["secrets"])
        self.terminations = 0
        self.exit_code: int | None = None
        self.child = self.output = -1
        self.engine_pid: int | None = None
        self.recorded_at = 0.0
        self.isolation = "none"

    def run(self) -> None:
        """From the engine's start to the proof that nothing of it is left."""
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, self._terminate)
        self._start()
        reason = self._watch(wake_read)
        stopping_at = time.monotonic()
        self._report("stopping", reason)
        self._stop(grace_s=0.0 if reason == "exited" else self.spec["grace_s"])
        run_afterwards(self.spec)
        self._drain()
        self.log.write(self.log.partial)
        self._report("gone", reason, teardown_s=time.monotonic() - stopping_at)
        let_go(self.spec)

    def _terminate(self, *_: object) -> None:
        self.terminations += 1

    def _start(self) -> None:
        namespace = isolation_prefix(self.spec["isolation"])
        self.isolation = "pid_namespace" if namespace else "watchdog"
        init = (sys.executable, "-I", "-S", os.path.abspath(__file__), "--init")  # noqa: PTH100
        argv = [*namespace, *init, *self.spec["argv"]]
        self.output, output_write = os.pipe()
        os.set_blocking(self.output, False)
        self.child = os.fork()
        if self.child == 0:
            become(argv, self.spec["env"], self.spec["cwd"], output_write)
        os.close(output_write)
        self._record()
        self._report("running", None)

    def _watch(self, wake: int) -> str:
        """Keep log and record until there is a reason to stop."""
        while True:
            watched = [0, self.guard_pipe, wake, self.output]
            every_s = RECORD_EVERY_S if self.engine_pid else 0.05
            ready, _, _ = select.select(watched, [], [], every_s)
            if wake in ready:
                os.read(wake, 4096)
            self._drain()
            if self._ended():
                return "exited"
            if self.terminations:
                return "terminated"
            if 0 in ready:
                return self._asked_to_stop()
            if self.guard_pipe in ready:
                return "guard_died"
            if parent_of(os.getppid()) != self.spec["parent_pid"]:
                return "parent_died"  # a forked child of the parent may keep the pipe open
            if time.monotonic() - self.recorded_at >= every_s:
                self._record()

    def _asked_to_stop(self) -> str:
        """The pipe says "kill" (no grace), or has ended: closed, or its holder is dead."""
        if os.read(0, 16) == b"kill":
            self.spec["grace_s"] = 0.0
            return "killed"
        alive = parent_of(os.getppid()) == self.spec["parent_pid"]
        return "stop_requested" if alive else "parent_died"

    def _ended(self) -> bool:
        ended = reap_children()
        if self.child in ended:
            self.exit_code = ended[self.child]
        return self.exit_code is not None

    def _stop(self, grace_s: float) -> None:
        """SIGTERM to the engine's group (by its init), grace, then SIGKILL until none is left."""
        if self.exit_code is None:
            kill_all([self._init_pid()], signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while not self._ended() and time.monotonic() < deadline and self.terminations < 2:
            self._drain()
            time.sleep(POLL_STOPPING_S)
        while living := descendants(os.getpid()):
            kill_all(living)
            self._drain()
            self._ended()
            time.sleep(POLL_STOPPING_S)
        self._ended()

    def _init_pid(self) -> int:
        """Without a namespace the child is the init itself; within one it is unshare's child."""
        if self.isolation == "watchdog":
            return self.child
        below = [pid for pid in descendants(self.child) if parent_of(pid) == self.child]
        return below[0] if below else self.child

    def _record(self) -> None:
        """Who lives now, with start times: what the reaper may kill if all else fails."""
        self.recorded_at = time.monotonic()
        pids = [os.getppid(), os.getpid(), *descendants(os.getpid())]
        starts = {pid: stat[1] for pid in pids if (stat := stat_of(pid))}
        if self.engine_pid is None:
            init = self._init_pid()
            self.engine_pid = next((p for p in pids if parent_of(p) == init), None)
            if self.engine_pid is not None:
                self._report("running", None)
        record = {
            **self.spec["record"],
            "boot_id": boot_id(),
            "processes": list(starts.items())[:MAX_PROCESSES],
        }
        for fd, path in self.spec["leases"]:
            try:
                write_lease(Path(path), fd, record)
            except OSError as error:  # nor must a record
                print(f"supervisor: lease record: {error}", file=sys.stderr)

    def _report(self, state: str, reason: str | None, teardown_s: float | None = None) -> None:
        write_json(
            self.spec["report_path"],
            {
                "state": state,
                "reason": reason,
                "isolation": self.isolation,
                "supervisor_pid": os.getpid(),
                "engine_pid": self.engine_pid,
                "exit_code": self.exit_code,
                "teardown_s": teardown_s,
                "log_bytes_lost": self.log.lost_bytes,
            },
        )

    def _drain(self) -> None:
        """Take what the engine wrote, up to 16 MiB at once so that a chatty one cannot hold us."""
        for _ in range(256):
            try:
                chunk = os.read(self.output, 65536)
            except BlockingIOError:
                return
            if not chunk:
                return
            self.log.feed(chunk)


def isolation_prefix(wanted: str) -> tuple[str, ...]:
    """How to enter a PID namespace on this kernel, as this user; () where it may not be."""
    if wanted == "watchdog":
        return ()
    for prefix in (NAMESPACE,) if os.geteuid() == 0 else (NAMESPACE_AS_USER,):
        pid = os.fork()
        if pid == 0:
            silence = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(silence, fd)
            execute([*prefix, "true"], {"PATH": os.environ.get("PATH", os.defpath)})
        if os.waitpid(pid, 0)[1] == 0:
            return prefix
    return ()


def become(argv: list[str], env: dict[str, str], cwd: str, output: int) -> None:
    """In the forked child: turn into unshare or init, dying with the supervisor."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.chdir(cwd)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, 4096)  # the lease's locks among them
    execute(argv, env)


def execute(argv: list[str], env: dict[str, str]) -> None:
    """exec with the signals a program expects; 127 and a line in the log where it cannot."""
    signal.set_wakeup_fd(-1)
    for signum in (signal.SIGPIPE, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(signum, signal.SIG_DFL)
    try:
        os.execvpe(argv[0], argv, env)  # noqa: S606
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    os._exit(127)


def run_guard(spec: dict[str, Any]) -> None:
    """Hold the locks until the supervisor has ended; if it was killed, end what it left."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    guard_read, guard_write = os.pipe()
    supervisor = os.fork()
    if supervisor == 0:
        os.close(guard_write)
        Supervisor(spec, guard_read).run()
        os._exit(0)
    os.close(guard_read)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, lambda *_: kill_all([supervisor], signal.SIGTERM))
    ended: dict[int, int] = {}
    while supervisor not in ended:
        pid, status = os.waitpid(-1, 0)
        ended[pid] = status
    if ended[supervisor] == 0:
        return
    while living := descendants(os.getpid()):
        kill_all(living)
        reap_children()
        time.sleep(POLL_STOPPING_S)
    run_afterwards(spec)
    write_json(spec["report_path"], {"state": "gone", "reason": "supervisor_killed"})
    let_go(spec)


def run_afterwards(spec: dict[str, Any]) -> None:
    """Run the commands that end what is no process below us: a container. Each has its time."""
    for argv in spec["afterwards"]:
        child = os.fork()
        if child == 0:
            silence = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1):
                os.dup2(silence, fd)
            os.closerange(3, 4096)
            execute(argv, spec["env"])
        deadline = time.monotonic() + AFTERWARDS_S
        while os.waitpid(child, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                kill_all([child])
                os.waitpid(child, 0)
                break
            time.sleep(POLL_STOPPING_S)


def run_init(argv: list[str]) -> None:
    """The engine's parent, PID 1 of its namespace: reap, pass SIGTERM on, end with the engine."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    engine = 0

    def pass_on(*_: object) -> None:
        if engine:
            kill_group(engine)

    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, pass_on)
    engine = os.fork()
    if engine == 0:
        os.setsid()
        execute(argv, dict(os.environ))
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == engine:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def kill_group(leader: int) -> None:
    """SIGTERM to the group, and SIGCONT so that a stopped member hears it."""
    for signum in (signal.SIGTERM, signal.SIGCONT):
        try:
            os.killpg(leader, signum)
        except ProcessLookupError:
            return


def read_line(fd: int) -> bytes:
    """One line, byte-exact: what follows it on the pipe is not ours to read yet."""
    line = b""
    while not line.endswith(b"\n"):
        chunk = os.read(fd, 65536)
        if not chunk:
            sys.exit("supervisor: no spec on stdin; it is started by nightbench, not by hand")
        line += chunk
    return line


def main() -> None:
    """`supervisor.py` supervises the spec on stdin; with `--init ARGV…` it is its inner part."""
    if sys.argv[1:2] == ["--init"]:
        run_init(sys.argv[2:])
        return
    spec = json.loads(read_line(0))
    if os.getsid(0) != os.getpid():
        os.setsid()
    run_guard(spec)


if __name__ == "__main__":
    main()
