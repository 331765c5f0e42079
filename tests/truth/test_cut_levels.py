"""A level that is cancelled keeps what it had measured, and leaves no raw files however it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nightbench.load.measure import MeasuredLevel
from tests.truth.driving import drive, requests_of
from tests.truth.reference import ReferenceServer


@pytest.fixture
def server() -> Iterator[ReferenceServer]:
    with ReferenceServer(ttft_ms=20, itl_ms=5) as started:
        yield started


def cut_after(seconds: float, error: BaseException) -> Callable[[], str | None]:
    began = time.monotonic()

    def stop() -> str | None:
        if time.monotonic() - began > seconds:
            raise error
        return None

    return stop


def left_in(folder: Path) -> set[str]:
    return {path.suffix for path in folder.iterdir()}


def test_what_a_cancelled_level_had_measured_is_kept_and_the_cancellation_goes_on(
    server: ReferenceServer, tmp_path: Path
) -> None:
    kept: list[MeasuredLevel] = []
    stop = cut_after(2.0, KeyboardInterrupt())
    how = {"stop": stop, "on_cut": kept.append}
    with pytest.raises(KeyboardInterrupt):
        drive(server, tmp_path, how=how, max_concurrency=2, duration_s=60)
    (measured,) = kept
    assert measured.level.completed > 0
    assert not measured.level.valid
    assert "cancelled" in measured.level.invalid_reasons
    assert len(requests_of(measured)) >= measured.level.completed
    assert left_in(tmp_path) == {".parquet"}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("of ours")])
def test_a_level_that_nobody_keeps_leaves_no_files(
    server: ReferenceServer, tmp_path: Path, error: BaseException
) -> None:
    how = {"stop": cut_after(0.5, error)}
    with pytest.raises(type(error)):
        drive(server, tmp_path, how=how, max_concurrency=2, duration_s=60)
    assert left_in(tmp_path) == set()
