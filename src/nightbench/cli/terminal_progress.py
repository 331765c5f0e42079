"""What a person sees while a night runs: one line per phase, live where the terminal can."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars

from nightbench.progress import Progress
from nightbench.terminal_text import safe_line

PLAIN_INTERVAL_S = 10.0


class TerminalProgress:
    """Draws progress on a terminal; elsewhere prints a plain line when a phase begins, every ten
    seconds, and when it is done."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._started: dict[tuple[str, str], float] = {}
        self._printed: dict[tuple[str, str], float] = {}
        self._last_line = ""
        self._newest: dict[tuple[str, str], Progress] = {}  # of phases that are under way
        self._rows: dict[tuple[str, str], TaskID] = {}
        self._bars = Bars(
            SpinnerColumn(finished_text="[green]✓[/green]"),
            TextColumn("{task.fields[phase]:<11}", style="cyan"),
            TextColumn("{task.fields[subject]}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[count]:>8}"),
            TextColumn("{task.fields[detail]}", style="dim", markup=False),
            TimeElapsedColumn(),
            console=console,
        )

    def __enter__(self) -> TerminalProgress:
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            if error is None:
                self._finish_all_but(None)
            self._bars.stop()
        elif error is None:
            self._say_the_end_of_all_but(None)

    def __call__(self, progress: Progress) -> None:
        """Show one step; what it says may be a server's words."""
        progress = replace(progress, subject=safe_line(progress.subject))
        if self._console.is_terminal:
            self._draw(progress)
        else:
            self._print(progress)

    def _draw(self, progress: Progress) -> None:
        key = (progress.phase, progress.subject)
        self._finish_all_but(key)
        if key not in self._rows:
            self._rows[key] = self._bars.add_task(
                "", total=None, phase=progress.phase, subject=progress.subject, count="", detail=""
            )
        detail = _short(progress.detail)
        if progress.total is None:
            self._bars.update(self._rows[key], detail=detail)
        else:
            done, total = progress.done or 0, progress.total
            self._bars.update(
                self._rows[key],
                completed=done,
                total=total,
                count=f"{done}/{total}",
                detail=detail,
            )

    def _finish_all_but(self, key: tuple[str, str] | None) -> None:
        """Phases follow each other: when one speaks, the others are over."""
        for other, row in self._rows.items():
            task = self._bars.tasks[self._bars.task_ids.index(row)]
            if other != key and not task.finished:
                total = task.total if task.total is not None else 1
                count = "" if task.total is None else f"{total:.0f}/{total:.0f}"
                self._bars.update(row, total=total, completed=total, count=count)

    def _print(self, progress: Progress) -> None:
        key = (progress.phase, progress.subject)
        now = self._clock()
        self._say_the_end_of_all_but(key)
        self._started.setdefault(key, now)
        self._newest[key] = progress
        done = progress.total is not None and progress.done == progress.total
        due = now - self._printed.get(key, -PLAIN_INTERVAL_S) >= PLAIN_INTERVAL_S
        line = self._line(progress)
        if (due or done) and line != self._last_line:
            self._printed[key] = now
            self._last_line = line
            elapsed_s = now - self._started[key]
            self._console.print(f"{line}  [{elapsed_s:.0f} s]", markup=False, highlight=False)

    def _say_the_end_of_all_but(self, key: tuple[str, str] | None) -> None:
        """What counted to a total, and was over before it was said to be there."""
        for other in [other for other in self._newest if other != key]:
            last = self._newest.pop(other)
            if last.total and last.done != last.total and other in self._printed:
                elapsed_s = self._clock() - self._started[other]
                line = self._line(replace(last, done=last.total))
                self._console.print(f"{line}  [{elapsed_s:.0f} s]", markup=False, highlight=False)

    @staticmethod
    def _line(progress: Progress) -> str:
        counted = "" if progress.total is None else f" {progress.done}/{progress.total}"
        return (
            f"{progress.phase:<11} {progress.subject}{counted}  {_short(progress.detail)}".rstrip()
        )


def _short(detail: str) -> str:
    return safe_line(detail, max_chars=60)
