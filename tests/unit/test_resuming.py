from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nightbench.errors import BadInput
from nightbench.history.ingest import land
from nightbench.history.spool.writer import RUN_FOLDER, Spool, SpoolIdentity
from nightbench.home.paths import Home
from nightbench.night.resuming import answers, find_unfinished
from nightbench.records import ProvenanceRow
from tests.benchmarks.synthetic_nights import (
    Shape,
    began,
    run_id_of,
    run_row,
    spool_night,
    spool_target,
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A night that completed, then one that died in the second of its two targets."""
    home = Home(tmp_path)
    shape = Shape(targets=("first", "second"))
    spool_night(home.spool, 0, shape)
    spool_target(home.spool, 1, "first", shape)
    dying = begin_run(home, 1)
    dying.append(run_row(1, shape, status="running", ended_at=None))
    dying.append(ProvenanceRow(name="suite_file", value="/suites/two.yaml"))
    dying.append(ProvenanceRow(name="targets", value=json.dumps(shape.targets)))
    dying.abandon()
    return home


def begin_run(home: Home, night: int) -> Spool:
    identity = SpoolIdentity(run_id=run_id_of(night), target=RUN_FOLDER, night=began(night).date())
    return Spool.open(home.spool, identity, now=lambda: datetime(2026, 1, 9, tzinfo=UTC))


def test_what_is_left_are_the_targets_that_did_not_complete(home: Home) -> None:
    unfinished = find_unfinished(home, run_id_of(1))
    assert unfinished.targets == ("second",)
    assert unfinished.suite_file == "/suites/two.yaml"


def test_a_run_that_completed_has_nothing_left(home: Home) -> None:
    with pytest.raises(BadInput, match="nothing left to do"):
        find_unfinished(home, run_id_of(0))


def test_a_run_that_is_still_alive_is_not_resumed(home: Home) -> None:
    spool_target(home.spool, 2, "first", Shape())
    alive = begin_run(home, 2)
    with pytest.raises(BadInput, match="has not ended"):
        find_unfinished(home, run_id_of(2))
    alive.abandon()


def test_answers_are_those_of_that_run_target_and_hardware(home: Home) -> None:
    land(home)
    kept = answers(home, run_id_of(1), "first", "cpu x 2")
    assert {(one.sample_id, one.asked_at.date()) for one in kept} == {
        (f"q{number}", began(1).date()) for number in range(6)
    }
    assert answers(home, run_id_of(1), "first", "H200 x 1") == []
    assert answers(home, run_id_of(1), "second", "cpu x 2") == []
