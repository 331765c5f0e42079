"""The generator processes of a level: started, told when to begin, listened to, ended."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any

from nightbench.errors import NightbenchError
from nightbench.load.drive.kernel_clock import now_ns
from nightbench.load.drive.worker_protocol import Job, ShardReport
from nightbench.secrets.child_env import FOR_PYTHON, environment_for

_HEADSTART_NS = 20_000_000  # from the word to the start: every process hears it before
_LISTEN_S = 0.2
_GRACE_S = 5.0
CANCELLED = "cancelled"

OnCounts = Callable[[int, int], None]  # requests done, of them without a whole response
Stop = Callable[[], str | None]


class GeneratorFailed(NightbenchError):
    """A generator process could not do its work. Not a failed request."""


@dataclass(slots=True)
class _Shard:
    process: subprocess.Popen[bytes]
    stdin: IO[bytes]
    stdout: IO[bytes]
    ready: bool = False
    done: int = 0
    failed: int = 0
    report: ShardReport | None = None
    unread: bytes = b""
    error: str = ""


@dataclass(slots=True)
class GeneratorPool:
    """The processes of one level. Leaving the context ends them, whatever happened."""

    jobs: list[Job]
    cut: BaseException | None = None  # what broke a level off that was to be kept all the same
    _shards: list[_Shard] = field(default_factory=list)
    _selector: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)

    def __enter__(self) -> GeneratorPool:
        for job in self.jobs:
            shard = _start()
            self._shards.append(shard)
            self._selector.register(shard.stdout, selectors.EVENT_READ, shard)
            line = job.encode()
            self._tell(shard, b"%d\n%b" % (len(line), line))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._selector.close()
        for shard in self._shards:
            shard.stdin.close()  # the end of stdin ends a generator by itself
            shard.stdout.close()
        for shard in self._shards:
            try:
                shard.process.wait(_GRACE_S if error is None else 0.5)
            except subprocess.TimeoutExpired:
                shard.process.kill()
                shard.process.wait()

    def run(
        self,
        on_counts: OnCounts,
        on_ready: Callable[[], None],
        stop: Stop,
        *,
        keeps_what_is_cut: bool = False,
    ) -> tuple[list[ShardReport], str | None]:
        """Drive the level to its end; (reports, the reason it was stopped for, if it was).

        `on_ready` is called between warm-up and start. Where what is cut is kept, a cancellation
        (Ctrl-C, whoever ends the flow) stops the level as a reason does, and is left in `cut` for
        whoever raises it again. Raises GeneratorFailed where a process
        died or could not reach the host's address.
        """
        reason = self._listen(lambda shard: shard.ready, on_counts, stop)
        on_ready()
        start_ns = now_ns() + _HEADSTART_NS
        for shard in self._shards:
            self._tell(shard, b"go %d\n" % start_ns)
        if reason is None:
            try:
                reason = self._listen(lambda shard: shard.report is not None, on_counts, stop)
            except Exception:
                raise
            except BaseException as error:
                if not keeps_what_is_cut:
                    raise
                self.cut, reason = error, CANCELLED
        if reason is not None:
            for shard in self._shards:
                self._tell(shard, b"stop\n")
            self._listen(lambda shard: shard.report is not None, on_counts, lambda: None)
        return [shard.report for shard in self._shards if shard.report is not None], reason

    def _listen(
        self, enough: Callable[[_Shard], bool], on_counts: OnCounts, stop: Stop
    ) -> str | None:
        while not all(enough(shard) for shard in self._shards):
            for key, _ in self._selector.select(_LISTEN_S):
                self._hear(key.data, on_counts)
            reason = stop()
            if reason is not None:
                return reason
        return None

    def _hear(self, shard: _Shard, on_counts: OnCounts) -> None:
        news = os.read(shard.stdout.fileno(), 65536)
        if not news:
            self._selector.unregister(shard.stdout)
            if shard.report is None:
                raise GeneratorFailed(
                    shard.error or f"a load generator process ended ({shard.process.wait()})",
                    hint="" if shard.error else "its traceback is above; please report it",
                )
            return
        *lines, shard.unread = (shard.unread + news).split(b"\n")
        for line in lines:
            self._take(shard, json.loads(line))
        on_counts(sum(s.done for s in self._shards), sum(s.failed for s in self._shards))

    def _take(self, shard: _Shard, message: dict[str, Any]) -> None:
        if "ready" in message:
            shard.ready = True
        elif "error" in message:
            shard.error = f"the load generator {message['error']}"
        elif "report" in message:
            shard.report = ShardReport.decode(message["report"])
        else:
            shard.done, shard.failed = message["done"], message["failed"]

    def _tell(self, shard: _Shard, line: bytes) -> None:
        try:
            shard.stdin.write(line)
            shard.stdin.flush()
        except BrokenPipeError:
            return  # it ended; reading its stdout says so


def _start() -> _Shard:
    # A session of its own: Ctrl-C reaches the parent alone, which ends its children in order.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "nightbench.load.drive.generator"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Its endpoint's key comes by the pipe.
        env=environment_for(FOR_PYTHON),
        start_new_session=True,
    )
    if process.stdin is None or process.stdout is None:
        raise GeneratorFailed("a load generator process has no pipes")
    return _Shard(process, process.stdin, process.stdout)
