"""The load generator: a process of its own, one epoll loop, started by `nightbench.load.measure`.

    python -m nightbench.load.drive.generator    (a job on stdin, reports on stdout: JSON lines)

Its parent says when to start, so that all processes of a level start together. When the parent is
gone, stdin ends, and so does the generator.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import select
import socket
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO

from nightbench.load.drive.connection import Connection, Handler
from nightbench.load.drive.drivers import ClosedLoop, Driver, OpenLoop
from nightbench.load.drive.ending import patience_ns
from nightbench.load.drive.exchange import MOST_LINGER_NS, Exchange, linger_ns
from nightbench.load.drive.kernel_clock import Alarm, now_ns, realtime_offset_ns
from nightbench.load.drive.name_resolution import resolve, tls_of
from nightbench.load.drive.rawlog import Cause
from nightbench.load.drive.reads import PlainReads
from nightbench.load.drive.timeouts import housekeeping_every_ns, overgrown, timed_out
from nightbench.load.drive.tokens_seen import of_level
from nightbench.load.drive.wire import CROWD
from nightbench.load.drive.worker_protocol import Job, ShardReport
from nightbench.load.native.wire_loop import open_wire
from nightbench.load.plan.bodies import Bodies
from nightbench.untrusted.limits import HEAD_BYTES, AnswerLimits, megabytes

_MOST_UNWRITTEN = 256  # ended exchanges that may wait for a quiet moment
_MOST_UNWRITTEN_BYTES = 256_000_000
_SHORTEST_NAP_NS = 50_000  # the kernel sleeps no shorter
_SECOND = 1_000_000_000
_QUIET_NS = _SECOND // 5  # after so long what came is looked at, whatever it looked like
_STDIN = 0


class Generator:
    """The loop. It owns the connections, writes a record per request, and keeps the time."""

    def __init__(self, job: Job, raw: BinaryIO, warmup_raw: BinaryIO | None = None) -> None:
        self.job = job
        self.epoll = select.epoll()
        self.wire = open_wire(self.epoll, compiled=job.compiled)
        self.handlers: dict[int, Handler] = {_STDIN: self._on_stdin}
        self.epoll.register(_STDIN, select.EPOLLIN)
        self._raw, self._warmup_raw = raw, warmup_raw
        self._holds_output = of_level(job.response_parser)
        self._ending: set[Connection] = set()  # whose answer is over and whose response is not
        self._kept_open = self._resent = 0
        self._bodies = Bodies(Path(job.bodies_path), job.head)
        self._tls = tls_of(job)
        self._remote = resolve(job)
        self._connections: set[Connection] = set()
        self._driver = Driver()
        self._unwritten: deque[Exchange] = deque()
        self._unwritten_bytes = 0
        self._recording = self._stopping = False
        self._start_ns = 0
        self._busy = self._in_flight = self._in_flight_ns = self._changed_ns = 0
        self._done = self._failed = self._warmup_failed = 0
        self._full_from_ns: int | None = None
        self._offsets = [realtime_offset_ns()]
        self._linger_ns = MOST_LINGER_NS // 4
        self._house_ns = self._progress_ns = self._offset_ns = self._stall_ns = 0
        self._every_ns = housekeeping_every_ns(job)

    # What connections tell their owner.

    def sent(self, at_ns: int) -> None:
        """A request is in flight."""
        self._count(1, at_ns)

    def ended(self, connection: Connection, exchange: Exchange) -> None:
        """A request is over: keep what it recorded, and let the driver use its connection."""
        at_ns = exchange.ended_ns
        whole = exchange.cause in (Cause.COMPLETE, Cause.OVER)
        if exchange.sent_ns:
            self._count(-1, at_ns)
            self._linger_ns = min(self._linger_ns * 2, linger_ns(exchange))
        self._done += 1
        self._failed += not whole
        self._resent += exchange.resent and self._recording
        if not self._recording and self._warmup_raw is not None:
            self._warmup_raw.write(exchange.record(0))
        if self._recording:
            self._unwritten.append(exchange)
            self._unwritten_bytes += exchange.held_bytes
            while self._unwritten_bytes > _MOST_UNWRITTEN_BYTES:
                self._write_one()
        ended_well = exchange.cause == Cause.COMPLETE
        free_since = exchange.arrived_ns(self._offsets[-1][1]) if ended_well else at_ns
        self._busy -= 1
        self._driver.free(connection, free_since)

    def opened(self, connection: Connection) -> None:
        """A connection without a request is open."""
        self._driver.opened(connection)

    def lost(self, connection: Connection) -> None:
        """A connection without a request is gone."""
        self._driver.lost(connection)

    def over(self, connection: Connection, end: str, at_ns: int) -> None:
        """The answer is over by what it says: its response has a little time left."""
        if end == "done" and connection.end_at_ns and connection in self._ending:
            connection.end_at_ns = min(connection.end_at_ns, at_ns + self._patience_ns(end))
        else:
            connection.end_at_ns = at_ns + self._patience_ns(end)
        self._ending.add(connection)

    def _patience_ns(self, end: str) -> int:
        return patience_ns(end, stays_open=self._kept_open > 0)

    def _end_over(self, at_ns: int) -> None:
        for connection in list(self._ending):
            if not connection.end_at_ns:
                self._ending.discard(connection)  # the response has ended
            elif at_ns >= connection.end_at_ns:
                self._ending.discard(connection)
                self._kept_open += 1
                connection.end_over()

    # The phases of a level.

    def prepare(self) -> None:
        """Open the connections and send the warm-up."""
        connections = [self._connection() for _ in range(max(1, self.job.concurrency))]
        for connection in connections:
            connection.open()
        self._run(lambda: any(connection.opening for connection in connections))
        if self.job.warmup and not self._stopping:
            self._driver = ClosedLoop(connections, self.job.warmup, self._exchange, None)
            self._driver.start(now_ns())
            self._run(self._unfinished)
        self._warmup_failed = self._failed
        self._done = self._failed = 0

    def measure(self) -> ShardReport:
        """Wait for the parent's word, drive the level, write what is left to write."""
        prepared_cpu_s = time.process_time()
        self._driver = Driver()
        self._run(lambda: not self._start_ns and not self._stopping)
        start_ns = self._start_ns or now_ns()
        self._driver = self._drive()
        self._offsets = [realtime_offset_ns()]
        while now_ns() < start_ns:
            time.sleep(0.0005)
        self._in_flight_ns, self._changed_ns = 0, start_ns
        self._recording = True
        if self._stopping:
            self._driver.stop()
        else:
            self._driver.start(start_ns)
        self._run(self._unfinished)
        end_ns = now_ns()
        self._offsets.append(realtime_offset_ns())
        while self._unwritten:
            self._write_one()
        return ShardReport(
            start_ns=start_ns,
            end_ns=end_ns,
            in_flight_ns=self._in_flight_ns,
            cpu_s=time.process_time() - prepared_cpu_s,
            offsets=tuple(self._offsets),
            prompts_exhausted=self._driver.exhausted,
            full_from_ns=self._full_from_ns,
            full_until_ns=self._driver.full_until_ns,
            warmup_failed=self._warmup_failed,
            kept_open=self._kept_open,
            resent=self._resent,
        )

    def _drive(self) -> Driver:
        job, indices = self.job, range(*self.job.requests)
        connections = list(self._connections)
        if job.offsets_path is None:
            return ClosedLoop(connections, indices, self._exchange, job.duration_ns)
        offsets = array("q")
        offsets.frombytes(Path(job.offsets_path).read_bytes())
        own = offsets[indices.start - job.index_base :: indices.step]
        alarm = Alarm()
        driver = OpenLoop(
            connections,
            indices,
            own,
            exchange_of=self._exchange,
            connect=self._connection,
            alarm=alarm,
        )
        self.handlers[alarm.fd] = lambda mask, floor: driver.on_time()
        self.epoll.register(alarm.fd, select.EPOLLIN)
        return driver

    def _unfinished(self) -> bool:
        return bool(self._busy or self._driver.unsent or self._driver.waiting)

    def _run(self, wanted: Callable[[], bool]) -> None:
        """The loop, as long as `wanted()` says so."""
        wire, find, unwritten = self.wire, self.handlers.get, self._unwritten
        wait_ms = max(1, self._every_ns // 1_000_000)
        while wanted():
            quick = unwritten or self._driver.waiting
            events = wire.poll(0 if quick else 1 if self._ending else wait_ms)
            for fd, mask in events:
                handler = find(fd)  # none: closed by an event before it in this batch
                if handler is not None:
                    handler(mask, wire.floor_ns)
            if unwritten and (not wire.arrived or len(unwritten) > _MOST_UNWRITTEN):
                self._write_one()
            if self._driver.waiting:
                self._driver.on_time()
            elif 0 < wire.arrived < CROWD:
                self._linger()
            if self._ending:
                self._end_over(wire.woke_ns)
            if wire.woke_ns >= self._house_ns:
                self._keep_house(wire.woke_ns)

    def _linger(self) -> None:
        """Wait for more to arrive, but for no longer than until something has to be sent."""
        linger_ns = self._linger_ns
        due_ns = self._driver.due_ns
        if due_ns:
            linger_ns = min(linger_ns, due_ns - now_ns())
        if linger_ns > _SHORTEST_NAP_NS:
            time.sleep(linger_ns / 1e9)

    def _exchange(self, index: int, scheduled_ns: int) -> Exchange:
        self._busy += 1
        # What is encrypted never goes to the wire.
        reads = PlainReads(HEAD_BYTES) if self._tls else self.wire.reads(HEAD_BYTES)
        message = self._bodies.message(index)
        return Exchange(index, message, scheduled_ns, reads, self._holds_output)

    def _write_one(self) -> None:
        exchange = self._unwritten.popleft()
        self._unwritten_bytes -= exchange.held_bytes
        self._raw.write(exchange.record(self.job.index_base))

    def _count(self, change: int, at_ns: int) -> None:
        self._in_flight_ns += self._in_flight * (at_ns - self._changed_ns)
        self._changed_ns = at_ns
        self._in_flight += change
        if self._full_from_ns is None and self._in_flight >= self.job.concurrency:
            self._full_from_ns = at_ns if self._recording else None

    def _connection(self) -> Connection:
        job = self.job
        limits = AnswerLimits(answer_bytes=job.answer_bytes, error_bytes=job.error_bytes)
        stamped = job.kernel_stamps
        connection = Connection(
            self, self._remote, self._tls, limits, kernel_stamps=stamped, choices=job.choices
        )
        self._connections.add(connection)
        return connection

    # What has to be done now and then.

    def _keep_house(self, at_ns: int) -> None:
        self._house_ns = at_ns + self._every_ns
        self._check_timeouts(at_ns)
        self._check_held()
        if at_ns >= self._offset_ns:
            self._offset_ns = at_ns + _SECOND
            self._offsets.append(realtime_offset_ns())
        if at_ns >= self._progress_ns and self._recording:
            self._progress_ns = at_ns + _SECOND // 2
            say({"done": self._done, "failed": self._failed})
        planted = self.job.planted_stall_ns
        if planted is not None and self._recording and at_ns >= self._stall_ns:
            while now_ns() < at_ns + planted[1]:
                pass
            self._stall_ns = at_ns + planted[0]

    def _check_timeouts(self, at_ns: int) -> None:
        for connection in list(self._connections):
            exchange = connection.exchange
            if connection.opening:
                if at_ns - connection.connecting_since > self.job.connect_timeout_ns:
                    connection.abandon(Cause.TIMEOUT_CONNECT)
            elif exchange is not None and exchange.sent_ns:
                connection.look(at_ns - _QUIET_NS)
                if connection.exchange is not exchange:
                    continue
                cause = timed_out(self.job, exchange, at_ns)
                if cause is not None:
                    connection.abandon(cause)
            elif not connection.alive and exchange is None and self.job.offsets_path is not None:
                self._connections.discard(connection)  # the open loop takes a new one

    def _check_held(self) -> None:
        busy = {c.exchange: c for c in self._connections if c.exchange is not None}
        left_bytes = max(0, self.job.held_bytes - self._unwritten_bytes)
        for exchange in overgrown(busy, left_bytes):
            busy[exchange].too_large(
                f"all responses together exceeded {megabytes(self.job.held_bytes)}"
            )

    def _on_stdin(self, mask: int, floor: int) -> None:
        line = os.read(_STDIN, 4096)
        if not line:
            os._exit(1)  # the parent is gone
        if line.startswith(b"go "):
            self._start_ns = int(line[3:].split()[0])
        if b"stop" in line:
            self._stopping = True
            self._driver.stop()
            for connection in list(self._connections):
                if connection.exchange is not None:
                    connection.abandon(Cause.STOPPED)


def say(message: dict[str, Any]) -> None:
    """One line to the parent. Where it is gone, stdin says so too, and ends the level."""
    with suppress(BrokenPipeError):
        os.write(1, json.dumps(message).encode() + b"\n")


def _read_job() -> Job:
    """The job on stdin, and not a byte more: the words that follow are read in the loop."""
    size = b""
    while not size.endswith(b"\n"):
        size += os.read(_STDIN, 1) or sys.exit("no job on stdin")
    payload = b""
    while len(payload) < int(size):
        payload += os.read(_STDIN, int(size) - len(payload)) or sys.exit("a truncated job on stdin")
    return Job.decode(payload)


def main() -> int:
    """Take a job, prepare it, start when told, report."""
    job = _read_job()
    gc.disable()
    try:
        with Path(job.raw_path).open("wb", buffering=1 << 20) as raw:
            report = _drive(job, raw)
    except (OSError, ImportError) as error:
        say({"error": _what_failed(job, error)})
        return 1
    say({"report": report.encode()})
    return 0


def _drive(job: Job, raw: BinaryIO) -> ShardReport:
    with ExitStack() as stack:
        warmup_raw = None
        if job.warmup_raw_path is not None:
            warmup_raw = stack.enter_context(Path(job.warmup_raw_path).open("wb"))
        generator = Generator(job, raw, warmup_raw)
        generator.prepare()
        gc.freeze()
        say({"ready": True})
        return generator.measure()


def _what_failed(job: Job, error: Exception) -> str:
    """For the parent, behind "the load generator "."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        folder = Path(job.raw_path).parent
        return (
            f"has no space left for its recordings in {folder}: set TMPDIR to a folder with "
            f"free space"
        )
    if isinstance(error, socket.gaierror):
        return f"cannot start: {job.host}:{job.port}: {error}"
    return f"cannot continue: {error}"


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # everything is written: no need to take a million objects down one by one
