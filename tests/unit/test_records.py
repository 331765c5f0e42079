"""Rows that know what happened to their server."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime

from nightbench.records import AccuracyResult, marked_invalid

RESULT = AccuracyResult(
    **{f.name: 0 for f in fields(AccuracyResult)}
    | {"valid": True, "invalid_reasons": [], "started_at": datetime(2026, 1, 1, tzinfo=UTC)}
)  # type: ignore[arg-type]


def test_a_row_whose_server_died_is_invalid_for_that_once() -> None:
    died = marked_invalid(RESULT, "server_died")
    assert (died.valid, died.invalid_reasons) == (False, ["server_died"])
    assert marked_invalid(died, "server_died") == died


def test_a_row_whose_server_is_well_stays_as_it_is() -> None:
    assert marked_invalid(RESULT, None) is RESULT
