"""Where progress goes: to the terminal of `nightbench run`, to the run's log, to the run's page."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from uuid import UUID

from prefect import runtime
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger
from prefect.logging.handlers import APILogWorker

from nightbench.dashboards.markdown import escaped
from nightbench.progress import OnProgress, Progress, ignore
from tasks.live_progress import LiveProgress, Shown, artifact_writer
from tasks.redacting import known

_terminal: ContextVar[OnProgress] = ContextVar("terminal", default=ignore)

# What each phase is called where people read, and which of them last long enough to be watched.
_WORDS = {"samples": "accuracy", "requests": "load"}
_WATCHED = ("environment", "model", "lease", "boot", "samples", "requests")
_ALL = 100.0
_SECONDS = re.compile(r"\s*\(\d+ s\)$")  # a boot says how long it has lasted, every second


@contextmanager
def shown_by(listener: OnProgress) -> Iterator[None]:
    """Within this context, progress is shown by `listener` too."""
    token = _terminal.set(listener)
    try:
        yield
    finally:
        _terminal.reset(token)


class _NothingNew(logging.Filter):
    """Leaves out the line that Prefect writes after every task that went well: it names no task,
    and the page shows each with its state."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.getMessage() != "Finished in state Completed()"


logging.getLogger("prefect.task_runs").addFilter(_NothingNew())


def flush_logs() -> None:
    """Hand what is still buffered to Prefect's API, before that goes away."""
    APILogWorker.drain_all(timeout=5)


class Reporter:
    """Passes progress on: to the terminal at once, to the log when something is new, and to a
    progress artifact now and then.

    Counting steps (`done` of `total`) are for eyes: the log has each quarter of them.
    """

    def __init__(
        self,
        live: LiveProgress | None = None,
        *,
        limit_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`limit_s` is the time after which a phase that counts nothing is given up."""
        self._show = _terminal.get()
        self._live = live
        self._limit_s = limit_s
        self._clock = clock
        self._began = clock()
        self._logged = ""
        self._shown: dict[str, Shown] = {}

    def __call__(self, progress: Progress) -> None:
        redact = known()
        progress = replace(
            progress, subject=redact(progress.subject), detail=redact(progress.detail)
        )
        self._show(progress)
        line = log_line(progress)
        if line and line != self._logged:
            self._logged = line
            log(line)
        if self._live is not None and progress.phase in _WATCHED:
            shown = self._artifact_of(progress)
            self._shown[shown.key] = shown
            self._live.show(shown)

    def finish(self) -> None:
        """What was under way is done."""
        for shown in self._shown.values():
            if self._live is not None:
                self._live.show(replace(shown, percent=_ALL, text=f"{shown.about}: done"))

    def _artifact_of(self, progress: Progress) -> Shown:
        word = _WORDS.get(progress.phase, progress.phase)
        counted = "" if progress.total is None else f"{progress.done} of {progress.total}"
        text = ", ".join(part for part in (counted, progress.detail) if part)
        key = artifact_key(word, progress.subject)
        about = escaped(f"{word} {progress.subject}", max_chars=100)
        return Shown(
            key=key,
            percent=self._percent(progress, self._shown.get(key)),
            about=about,
            text=f"{about}: {escaped(text, max_chars=200)}".rstrip(": "),
        )

    def _percent(self, progress: Progress, before: Shown | None) -> float:
        if progress.total:
            return round(_ALL * (progress.done or 0) / progress.total, 1)
        if self._limit_s is None:
            return before.percent if before else 0.0
        return round(min(99.0, _ALL * (self._clock() - self._began) / self._limit_s), 1)


@contextmanager
def reported(*, limit_s: float | None = None) -> Iterator[Reporter]:
    """A reporter with progress artifacts on the present task run's page."""
    live = LiveProgress(
        artifact_writer(_uuid(runtime.flow_run.id), _uuid(runtime.task_run.id)),
    )
    reporter = Reporter(live, limit_s=limit_s)
    try:
        yield reporter
        reporter.finish()
    finally:
        live.close()


def log_line(progress: Progress) -> str:
    """What the log says of it; "" for the steps between."""
    word = _WORDS.get(progress.phase, progress.phase)
    subject = f"{word} {progress.subject}"
    detail = _SECONDS.sub("", progress.detail)
    if not progress.total:
        return f"{subject}: {detail}".rstrip(": ")
    done = progress.done or 0
    quarters = {-(-progress.total * quarter // 4) for quarter in (1, 2, 3, 4)}
    if done not in quarters:
        return ""
    return f"{subject}: {done} of {progress.total}" + (f", {detail}" if detail else "")


def artifact_key(*parts: str) -> str:
    """A key as Prefect takes it: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-") or "progress"


def log(line: str) -> None:
    """Into the log of the present run, where there is one."""
    try:
        get_run_logger().info(line)
    except MissingContextError:
        return


def _uuid(given: object) -> UUID | None:
    return UUID(str(given)) if given else None
