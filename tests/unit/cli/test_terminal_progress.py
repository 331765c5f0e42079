"""Progress on a terminal and in a log file."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from nightbench.cli.terminal_progress import TerminalProgress
from nightbench.progress import Progress


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_in_a_log_file_a_phase_speaks_at_its_start_every_ten_seconds_and_at_its_end() -> None:
    output, clock = io.StringIO(), Clock()
    with TerminalProgress(Console(file=output, width=200), clock=clock) as show:
        for second in range(25):
            clock.now_s = float(second)
            show(Progress("samples", "iquiz", f"step {second}", done=second, total=24))
    lines = output.getvalue().splitlines()
    assert lines == [
        "samples     iquiz 0/24  step 0  [0 s]",
        "samples     iquiz 10/24  step 10  [10 s]",
        "samples     iquiz 20/24  step 20  [20 s]",
        "samples     iquiz 24/24  step 24  [24 s]",
    ]


def test_a_phase_is_over_when_the_next_one_speaks() -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=120)
    with TerminalProgress(console) as show:
        show(Progress("boot", "m", "loading weights"))
        show(Progress("samples", "iquiz", done=1, total=2))
    last_frame = output.getvalue().rsplit("boot", 1)[1]
    assert "✓" in output.getvalue().rsplit("boot", 1)[0].rsplit("\n", 1)[-1]
    assert "2/2" in last_frame, "what is finished ends at its total"


def test_what_was_broken_off_stays_where_it_was() -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=120)

    def broken_off() -> None:
        with TerminalProgress(console) as show:
            show(Progress("samples", "iquiz", done=1, total=2))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert "2/2" not in output.getvalue()


def test_in_a_log_file_a_phase_that_is_over_ends_at_its_total() -> None:
    output = io.StringIO()
    with TerminalProgress(Console(file=output, width=200), clock=Clock()) as show:
        show(Progress("requests", "openqa c4", done=0, total=60))
        show(Progress("requests", "openqa c4", done=57, total=60))
        show(Progress("teardown", "m", "stopping the server"))
    assert output.getvalue().splitlines() == [
        "requests    openqa c4 0/60  [0 s]",
        "requests    openqa c4 60/60  [0 s]",
        "teardown    m  stopping the server  [0 s]",
    ]


def test_markup_in_what_is_shown_is_text() -> None:
    output = io.StringIO()
    with TerminalProgress(Console(file=output, width=120)) as show:
        show(Progress("boot", "[red]m[/red]", "[bold]x"))
    assert "[red]m[/red]" in output.getvalue()
