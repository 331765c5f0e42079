"""Watches a server while it is measured, once a second in one thread: alive, and how is it?"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from nightbench.endpoint import Endpoint
from nightbench.engines import target_engine
from nightbench.engines.observed import Counters
from nightbench.records import TelemetryRow
from nightbench.serving import probing
from nightbench.serving.hardware import telemetry
from nightbench.serving.hardware.telemetry import Sampler
from nightbench.serving.supervise.heartbeat import Decision, HangLimits, Heartbeat
from nightbench.serving.supervise.supervisor_client import wait_until
from nightbench.suite.models import Target

LOOK_EVERY_S = 0.25
ASK_EVERY_S = 1.0
LOOK_WITHIN_S = 10.0
LAST_WORDS_S = 3.0
MOST_FAILURES = 5  # one after the other: looking may fail now and then, not for good

Trouble = Literal["server_died", "server_hung", "watch_failed"]


def never() -> bool:
    """Its processes compute on GPUs: their CPU time says nothing."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedServer:
    """What is watched, and how to look at it."""

    target: Target
    endpoint: Endpoint
    ready_path: str
    counters_path: str | None
    running: Callable[[], bool]
    patience: HangLimits
    samplers: Sequence[Sampler] = ()
    computing: Callable[[], bool] = never
    clock: Callable[[], float] = time.monotonic


class Watchdog:
    """`trouble` is safe to ask from any thread, and free. Use as a context manager."""

    def __init__(self, watched: WatchedServer) -> None:
        self._watched = watched
        self._trouble: Trouble | None = None
        self._rows: list[TelemetryRow] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._failures = 0
        self.failure = ""  # what the watch itself failed with
        self._heartbeat = Heartbeat(watched.clock(), watched.patience)
        self._thread = threading.Thread(target=self._run, name="server-watch", daemon=True)

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(timeout=ASK_EVERY_S)

    @property
    def trouble(self) -> Trouble | None:
        """Why the server is no longer to be measured, None while it is. Nobody knows how a server
        is whose watch has died."""
        began = self._thread.ident is not None
        if self._trouble is None and began and not self._thread.is_alive() and not self._ended():
            self._trouble = "watch_failed"
        return self._trouble

    def _ended(self) -> bool:
        return self._stopped.is_set()

    def look(self) -> Trouble | None:
        """Look now, and closely: a server that has just failed its requests may not be found out
        yet. Takes milliseconds from a healthy one, seconds from another."""
        if self.trouble is None:
            self._trouble = self._judge()
        return self._trouble

    def _judge(self) -> Trouble | None:
        watched = self._watched
        health = f"{watched.endpoint.root_url}{watched.ready_path}"
        status = probing.status_of(health, within_s=LOOK_WITHIN_S)
        if status == 200:
            return None
        # It says itself that it is ill, or does not say anything: it may be on its way out.
        died = wait_until(lambda: not watched.running(), LAST_WORDS_S, clock=watched.clock)
        return "server_died" if died or status is not None else "server_hung"

    def add(self, rows: list[TelemetryRow]) -> None:
        """Readings that somebody else took, to be drained with ours."""
        with self._lock:
            self._rows += rows

    def drain(self) -> list[TelemetryRow]:
        """The readings since the last call."""
        with self._lock:
            taken, self._rows = self._rows, []
        return taken

    def _run(self) -> None:
        asked_at = float("-inf")
        while self._trouble is None and not self._stopped.wait(LOOK_EVERY_S):
            try:
                asked_at = self._look_once(asked_at)
                self._failures = 0
            except Exception as error:  # noqa: BLE001 - whatever looking fails with: see `trouble`
                self._failures += 1
                self.failure = f"{type(error).__name__}: {error}"
                if self._failures == MOST_FAILURES:
                    self._trouble = "watch_failed"

    def _look_once(self, asked_at: float) -> float:
        """Look whether it runs, and once in a while how it is. Returns when that was asked last."""
        if not self._watched.running():
            self._trouble = "server_died"
        elif self._watched.clock() - asked_at >= ASK_EVERY_S:
            asked_at = self._watched.clock()
            self._sample()
            if self._decide() == "hung":
                # Dying and hanging look alike from here until the process is gone.
                self._trouble = "server_hung" if self._watched.running() else "server_died"
        return asked_at

    def _sample(self) -> None:
        self.add([row for sampler in self._watched.samplers for row in sampler()])

    def _decide(self) -> Decision:
        if self._watched.counters_path is None:
            return "alive"  # its process is all that can be watched
        counters = read_counters(self._watched)
        if counters is not None:
            self.add(telemetry.rows("server", counters.readings()))
        now_s, computing = self._watched.clock(), self._watched.computing()
        decision = self._heartbeat.saw(now_s, counters, computing=computing)
        if decision != "ask":
            return decision
        wait_s = self._watched.patience.answer_within_s
        answer = probing.ask(self._watched.endpoint, timeout_s=wait_s)
        return self._heartbeat.answered(self._watched.clock(), answer.ok)


def read_counters(watched: WatchedServer) -> Counters | None:
    """What the engine says of itself now, None where it says nothing."""
    page = probing.read_page(watched.endpoint, watched.counters_path or "")
    return None if page is None else target_engine.parse_counters(watched.target, page)
