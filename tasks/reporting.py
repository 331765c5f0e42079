"""Where progress goes: to the terminal of `nightbench run`, and to the flow run's log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger
from prefect.logging.handlers import APILogWorker

from nightbench.progress import OnProgress, Progress, ignore

_terminal: ContextVar[OnProgress] = ContextVar("terminal", default=ignore)


@contextmanager
def shown_by(listener: OnProgress) -> Iterator[None]:
    """Within this context, progress is shown by `listener` too."""
    token = _terminal.set(listener)
    try:
        yield
    finally:
        _terminal.reset(token)


def flush_logs() -> None:
    """Hand what is still buffered to Prefect's API, before that goes away."""
    APILogWorker.drain_all(timeout=5)


class Reporter:
    """Passes progress on, and writes a line into the run's log when a phase says something new.

    Counting steps (`done` of `total`) are for eyes, not for logs: only the last one is logged.
    """

    def __init__(self) -> None:
        self._show = _terminal.get()
        self._last = ""

    def __call__(self, progress: Progress) -> None:
        self._show(progress)
        line = f"{progress.phase} {progress.subject}: {progress.detail}".rstrip(": ")
        counting = progress.total is not None and progress.done != progress.total
        if not counting and line != self._last:
            self._last = line
            _log(line)


def _log(line: str) -> None:
    try:
        get_run_logger().info(line)
    except MissingContextError:
        return
