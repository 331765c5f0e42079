"""A clock that is wrong, ahead or back, once or twice: nothing is removed for it, nothing hidden
that does not come back, and it is said."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from nightbench.history.clock import Uptime
from nightbench.history.duckdb_files.passes import Pass, passage
from nightbench.history.duckdb_files.rebuilding import rebuild
from nightbench.history.ingest import LandingReport, land
from nightbench.history.places import HistoryPlaces
from nightbench.history.reading import open_history
from nightbench.history.spool.writer import RUN_FOLDER, Spool, SpoolIdentity
from nightbench.history.store import Retention
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import (
    FIRST_NIGHT,
    Shape,
    began,
    rows_of,
    run_row,
    spool_night,
)
from tests.history import worlds

SHAPE = Shape(targets=("starter", "other"), levels=(1,), requests=2, chunks=2, samples=1)
KEPT = Retention({"load_chunks": 3})
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TEN_YEARS = timedelta(days=3653)


@dataclass
class Machine:
    """A machine whose clock can be set, and whose uptime cannot."""

    home: Home
    clock: datetime = field(default_factory=lambda: worlds.moment(0))
    up_s: float = 1000.0
    boots: int = 1
    knows_uptime: bool = True

    def passes(self, time: timedelta) -> None:
        self.clock += time
        self.up_s += time.total_seconds()

    def boot(self) -> None:
        self.boots += 1
        self.up_s = 10.0

    def set_clock(self, clock: datetime) -> None:
        self.clock = clock

    def land(self, retention: Retention = KEPT) -> LandingReport:
        return land(
            self.home,
            retention=retention,
            now=lambda: self.clock,
            uptime=lambda: Uptime(str(self.boots), self.up_s) if self.knows_uptime else None,
        )

    def spool(self, night: date, run_id: str) -> None:
        """A night dated by some clock."""
        for target in (RUN_FOLDER, "starter"):
            identity = SpoolIdentity(run_id=run_id, target=target, night=night)
            with Spool.open(self.home.spool, identity, now=lambda: self.clock) as spool:
                if target == RUN_FOLDER:
                    spool.append(run_row(0, SHAPE, status="completed", ended_at=began(0)))
                else:
                    for row in rows_of(0, "starter", SHAPE):
                        spool.append(row)  # type: ignore[arg-type]

    def nightly(self, nights: range) -> None:
        """Nights as they come, landed at noon."""
        for night in nights:
            self.set_clock(worlds.moment(night))
            self.up_s += DAY.total_seconds()
            spool_night(self.home.spool, night, SHAPE)
            self.land()

    def wake(self) -> LandingReport:
        """A landing that has something to do, so that it looks at everything."""
        HistoryPlaces.of(self.home).published.unlink()
        return self.land()

    def chunk_nights(self) -> list[str]:
        """The nights whose chunk times can be asked for."""
        with open_history(self.home) as history:
            rows = history.sql("SELECT DISTINCT night FROM load_chunks ORDER BY night").rows
        return [str(night) for (night,) in rows]

    def files(self) -> set[str]:
        """Every Parquet file that is kept."""
        nights = HistoryPlaces.of(self.home).nights
        return {str(path.relative_to(nights)) for path in nights.rglob("*.parquet")}


def day(number: int) -> str:
    return str(FIRST_NIGHT + timedelta(days=number))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(Home(tmp_path / "home"))
    machine.nightly(range(4))
    return machine


def test_a_night_dated_ahead_of_the_clock_is_marked_and_displaces_no_other(
    machine: Machine,
) -> None:
    machine.spool(date(2036, 1, 1), "20360101T000000Z-starter-000099")
    report = machine.land()
    assert [finding.check for finding in report.findings] == ["dated_ahead"]
    assert "night 2036-01-01" in report.findings[0].detail
    assert machine.chunk_nights() == [day(1), day(2), day(3), "2036-01-01"]
    machine.passes(HOUR)
    again = machine.wake()
    assert any(f.check == "dated ahead" and "2036-01-01" in f.detail for f in again.findings)


def test_a_night_dated_ahead_is_not_the_newest_for_a_lifetime(machine: Machine) -> None:
    machine.spool(date(2199, 12, 31), "21991231T000000Z-starter-000099")
    machine.land()
    with open_history(machine.home) as history:
        assert history.sql("SELECT DISTINCT night FROM latest").rows == ((date(2026, 1, 4),),)
        assert history.sql("SELECT DISTINCT night FROM leaderboard").rows == ((date(2026, 1, 4),),)


def test_a_clock_ten_years_ahead_for_one_night_removes_nothing(machine: Machine) -> None:
    before = machine.files()
    machine.set_clock(machine.clock + TEN_YEARS)
    machine.spool(machine.clock.date(), "20360104T000000Z-starter-000099")
    report = machine.land()
    assert any("nothing is removed this time" in f.detail for f in report.findings)
    assert before <= machine.files()
    assert day(1) not in machine.chunk_nights()  # a later night was there: it is hidden, not gone
    machine.passes(HOUR)
    machine.wake()
    assert before <= machine.files()
    machine.set_clock(worlds.moment(3) + 2 * HOUR)
    machine.wake()
    assert machine.chunk_nights() == [day(1), day(2), day(3), "2036-01-05"]  # it is back
    assert before <= machine.files()
    rows = worlds.rows(machine.home)
    rebuild(machine.home)
    assert worlds.rows(machine.home) == rows


def test_a_clock_back_in_1970_removes_nothing_and_its_night_is_kept(machine: Machine) -> None:
    before, shown = machine.files(), machine.chunk_nights()
    machine.set_clock(datetime(1970, 1, 1, 0, 10, tzinfo=UTC))
    machine.spool(machine.clock.date(), "19700101T001000Z-starter-000099")
    report = machine.land()
    assert any("nothing is removed this time" in f.detail for f in report.findings)
    assert any(f.check == "dated ahead" and day(3) in f.detail for f in report.findings)
    assert before <= machine.files()
    assert set(shown) <= set(machine.chunk_nights())
    machine.set_clock(worlds.moment(3) + HOUR)
    machine.wake()
    assert before <= machine.files()
    with open_history(machine.home) as history:
        assert history.sql("SELECT count(*) FROM runs WHERE night = '1970-01-01'").rows == ((1,),)


def test_two_jumps_in_a_row_remove_nothing(machine: Machine) -> None:
    before = machine.files()
    for jump in (TEN_YEARS, 2 * TEN_YEARS, -3 * TEN_YEARS, TEN_YEARS, -TEN_YEARS):
        machine.set_clock(machine.clock + jump)
        machine.passes(timedelta(minutes=5))
        machine.wake()
        assert before <= machine.files()


@pytest.mark.parametrize("jump", [2 * DAY, TEN_YEARS, -2 * DAY, -TEN_YEARS])
def test_the_first_landing_after_a_jump_removes_nothing_though_it_is_due(
    machine: Machine, jump: timedelta
) -> None:
    machine.passes(2 * DAY)
    machine.set_clock(machine.clock + jump)
    before = machine.files()
    assert any("nothing is removed" in f.detail for f in machine.wake().findings)
    assert machine.files() == before
    machine.passes(HOUR)
    machine.wake()
    assert machine.files() < before  # the time had really passed


@pytest.mark.parametrize("knows_uptime", [True, False])
def test_a_clock_that_jumps_two_days_ends_no_readers_grace(
    machine: Machine, knows_uptime: bool
) -> None:
    machine.knows_uptime = knows_uptime
    machine.nightly(range(4, 5))
    before = machine.files()
    if knows_uptime:
        machine.set_clock(machine.clock + 2 * DAY)
    else:
        machine.set_clock(machine.clock + 8 * DAY)  # all that a clock alone can tell
    machine.wake()
    machine.passes(HOUR)
    machine.wake()
    assert machine.files() == before


def test_a_reader_s_grace_is_over_when_the_time_has_passed_whatever_the_clock_says(
    machine: Machine,
) -> None:
    before = machine.files()
    machine.up_s += 25 * 3600
    machine.wake()  # the clock stood still: a jump
    machine.up_s += 60
    machine.clock += timedelta(seconds=60)
    machine.wake()
    assert machine.files() < before


def test_after_a_boot_the_clock_is_believed_as_far_as_it_is_plausible(machine: Machine) -> None:
    before = machine.files()
    machine.boot()
    machine.passes(2 * DAY)
    machine.boots += 1
    machine.wake()
    assert machine.files() < before


def test_nights_are_counted_and_not_days(tmp_path: Path) -> None:
    machine = Machine(Home(tmp_path / "home"))
    for night in (0, 7, 14, 21):  # once a week
        machine.nightly(range(night, night + 1))
    assert machine.chunk_nights() == [day(7), day(14), day(21)]


def test_what_was_retired_by_a_shorter_retention_stays_so_and_goes(machine: Machine) -> None:
    machine.nightly(range(4, 5))
    machine.passes(HOUR)
    HistoryPlaces.of(machine.home).published.unlink()
    machine.land(Retention({"load_chunks": 1}))
    assert machine.chunk_nights() == [day(4)]
    for _ in range(3):
        machine.passes(DAY)
        HistoryPlaces.of(machine.home).published.unlink()
        machine.land(Retention())
        assert machine.chunk_nights() == [day(4)]
    assert [name for name in sorted(machine.files()) if "load_chunks" in name] == [
        f"night={day(4)}/{path}/load_chunks.parquet"
        for path in (f"{began(4):%Y%m%dT%H%M%SZ}-starter-000004/other",
                     f"{began(4):%Y%m%dT%H%M%SZ}-starter-000004/starter")
    ]  # fmt: skip


def test_a_lost_note_of_the_last_landing_only_puts_off(machine: Machine) -> None:
    before = machine.files()
    HistoryPlaces.of(machine.home).passes.write_text("{")
    machine.passes(2 * DAY)
    report = machine.wake()
    assert any("waits anew" in finding.detail for finding in report.findings)
    assert machine.files() == before
    machine.passes(2 * DAY)
    machine.wake()
    assert machine.files() < before


def test_a_copy_published_under_a_clock_ahead_is_renewed_when_the_clock_is_right(
    machine: Machine,
) -> None:
    import os

    places = HistoryPlaces.of(machine.home)
    old = places.published.read_bytes()
    spool_night(machine.home.spool, 4, SHAPE)
    machine.land()
    places.published.write_bytes(old)  # a lander was killed before it published …
    os.utime(places.published, (4e9, 4e9))  # … and the last copy is from the future
    assert machine.land().published
    with open_history(machine.home) as history:
        assert history.sql("SELECT count(DISTINCT night) FROM runs").rows == ((5,),)


def at(clock: datetime, uptime_s: float | None, boot_id: str | None = "a") -> Pass:
    return Pass(clock=clock, boot_id=boot_id, uptime_s=uptime_s, elapsed_s=0.0, due={})


NOON = worlds.utc(2026, 3, 1)


@pytest.mark.parametrize(
    ("last", "clock", "uptime", "elapsed_s", "jumped"),
    [
        (at(NOON, 100.0), NOON + HOUR, Uptime("a", 3700.0), 3600.0, False),
        (at(NOON, 100.0), NOON + 40 * DAY, Uptime("a", 100.0 + 40 * 86400), 40 * 86400.0, False),
        (at(NOON, 100.0), NOON + HOUR, Uptime("a", 160.0), 60.0, True),
        (at(NOON, 100.0), NOON - HOUR, Uptime("a", 3700.0), 3600.0, True),
        (at(NOON, 100.0), NOON + HOUR, Uptime("b", 10.0), 3600.0, False),
        (at(NOON, 100.0), NOON + 3 * DAY, Uptime("b", 10.0), 86400.0, False),
        (at(NOON, 100.0), NOON + 8 * DAY, Uptime("b", 10.0), 0.0, True),
        (at(NOON, 100.0), NOON - HOUR, Uptime("b", 10.0), 0.0, True),
        (at(NOON, 100.0), NOON - HOUR / 60, Uptime("b", 10.0), 0.0, False),
        (at(NOON, None, None), NOON + HOUR, None, 3600.0, False),
        (at(NOON, None, None), NOON + TEN_YEARS, None, 0.0, True),
        (None, NOON, Uptime("a", 5.0), 0.0, False),
    ],
)
def test_the_time_that_passed_is_that_of_the_uptime_and_else_a_plausible_one(
    last: Pass | None, clock: datetime, uptime: Uptime | None, elapsed_s: float, jumped: bool
) -> None:
    found = passage(last, clock, uptime, most_s=86400.0)
    assert found.elapsed_s == pytest.approx(elapsed_s)
    assert (found.jump is not None) is jumped
