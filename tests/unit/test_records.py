"""Rows that know what happened to their server."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime

from nightbench.records import AccuracyResult, blamed

RESULT = AccuracyResult(
    **{f.name: 0 for f in fields(AccuracyResult)}
    | {"valid": True, "invalid_reasons": [], "started_at": datetime(2026, 1, 1, tzinfo=UTC)}
)  # type: ignore[arg-type]


def test_a_row_whose_server_died_is_invalid_for_that_once() -> None:
    died = blamed(RESULT, "server_died")
    assert (died.valid, died.invalid_reasons) == (False, ["server_died"])
    assert blamed(died, "server_died") == died


def test_a_row_whose_server_is_well_stays_as_it_is() -> None:
    assert blamed(RESULT, None) is RESULT
