"""What is kept of an engine's log says why it ended, even where that stands far above its end."""

from __future__ import annotations

from pathlib import Path

from nightbench.serving.supervise.supervisor_client import tail_of, with_errors_before

CAUSE = "(EngineCore pid=7) ERROR 11-29 core.py:1: ValueError: max seq len (2048) needs 0.9 GiB"
TRACEBACK = [f"  File {number}" for number in range(60)]
END = "RuntimeError: Engine core initialization failed. See root cause above."


def test_the_root_cause_far_above_the_last_lines_comes_first() -> None:
    assert with_errors_before([CAUSE, *TRACEBACK, END], 3) == [CAUSE, "…", *TRACEBACK[-2:], END]


def test_an_error_is_named_once_however_often_it_was_raised_again() -> None:
    again = CAUSE.replace("core.py:1", "core.py:2")
    assert with_errors_before([CAUSE, again, *TRACEBACK, END], 1) == [again, "…", END]
    assert with_errors_before([END, *TRACEBACK, END], 1) == [END]


def test_only_the_last_of_many_errors_are_named() -> None:
    errors = [f"OSError: {number}" for number in range(9)]
    assert with_errors_before([*errors, END], 1) == [
        "OSError: 6",
        "OSError: 7",
        "OSError: 8",
        "…",
        END,
    ]


def test_a_warning_that_speaks_of_an_error_is_none() -> None:
    said = "(APIServer pid=2) WARNING 11-29 system.py: it may end with `OSError: too many files`"
    assert with_errors_before([said, END], 1) == [END]


def test_a_log_without_errors_is_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("\n".join(TRACEBACK))
    assert tail_of(log, 2) == "\n".join(TRACEBACK[-2:])
