"""A run of a real history is judged, the verdicts land, and people can say what they make of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nightbench.history.duckdb_files.ingest import land
from nightbench.history.duckdb_files.rebuilding import rebuild
from nightbench.history.reading import open_history
from nightbench.history.run_results import read_run
from nightbench.home.paths import Home
from nightbench.night.judging import judge, keep
from nightbench.records import VerdictRow
from tests.benchmarks.synthetic_nights import Shape, run_id_of, spool_night

SHAPE = Shape(targets=("starter", "other", "third"), requests=1, samples=1, telemetry=0)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def judge_night(home: Home, night: int) -> list[VerdictRow]:
    """Judge and land, as the end of a night does."""
    with open_history(home) as history:
        rows = judge(history, run_id_of(night))
        keep(history, home.spool, run_id_of(night), rows)
    assert land(home).findings == []
    with open_history(home) as history:
        return list(read_run(history, run_id_of(night)).verdicts)


def measure(home: Home, nights: range, shape: Shape = SHAPE) -> None:
    for night in nights:
        spool_night(home.spool, night, shape)
    land(home)


def timeless(rows: list[VerdictRow]) -> list[VerdictRow]:
    return [replace(row, judged_at=row.judged_at.min) for row in rows]


def test_a_night_that_became_slower_has_an_open_event_with_what_changed(home: Home) -> None:
    measure(home, range(8), replace(SHAPE, drop_from=6))
    assert {row.verdict for row in judge_night(home, 5)} == {"ok"}
    first = judge_night(home, 6)[1]
    assert (first.target, first.verdict, first.notice) == ("starter", "inconclusive", True)
    row = judge_night(home, 7)[1]
    assert (row.verdict, row.event) == ("regressed", "starter-20260107")
    assert row.detail is not None
    assert row.detail.startswith("starter regressed: ")
    assert row.detail.endswith("since 2026-01-07, and 2 more series with it; driver 550 → 570")
    with open_history(home) as history:
        events = history.sql("SELECT event, kind, target, changed, is_quiet FROM open_events").rows
    assert events == (("starter-20260107", "regressed", "starter", "driver 550 → 570", False),)


def test_a_night_judged_again_gives_the_same_rows_and_lands_nothing_new(home: Home) -> None:
    measure(home, range(7), replace(SHAPE, drop_from=5))
    first = judge_night(home, 6)
    with open_history(home) as history:
        again = judge(history, run_id_of(6))
        assert timeless(again) == timeless(first)
        assert keep(history, home.spool, run_id_of(6), again) is None
        other = [replace(again[0], verdict="recovered"), *again[1:]]
        assert keep(history, home.spool, run_id_of(6), other) is not None
    measure(home, range(7, 8), SHAPE)
    with open_history(home) as history:
        assert timeless(judge(history, run_id_of(6))) == timeless(first)


def test_verdicts_are_kept_by_a_rebuild(home: Home) -> None:
    measure(home, range(7), replace(SHAPE, drop_from=5))
    rows = judge_night(home, 6)
    rebuild(home)
    with open_history(home) as history:
        assert list(read_run(history, run_id_of(6)).verdicts) == rows
        assert len(history.sql("FROM open_events").rows) == 1
