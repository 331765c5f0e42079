"""When nights are due, and whether one was missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nightbench.errors import BadInput
from nightbench.night.scheduling import (
    Schedule,
    Watched,
    daily_at,
    known_timezone,
    look,
    machine_timezone,
    missed,
    read_watched,
    write_watched,
)

BERLIN = Schedule("0 2 * * *", "Europe/Berlin")
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
MORNING = datetime(2026, 7, 8, 7, 0, tzinfo=UTC)
DUE = datetime(2026, 7, 8, 0, 0, tzinfo=UTC)  # two o'clock in summer


def test_two_oclock_follows_the_clocks_of_its_time_zone() -> None:
    july = BERLIN.due_between(DUE - timedelta(hours=1), MORNING)
    winter = datetime(2026, 1, 8, tzinfo=UTC)
    assert july == [DUE]
    assert BERLIN.due_between(winter, winter + timedelta(hours=2)) == [winter.replace(hour=1)]


@pytest.mark.parametrize("day", [29, 25], ids=["spring", "autumn"])
def test_a_night_is_due_once_when_the_clocks_change(day: int) -> None:
    month = {29: 3, 25: 10}[day]
    noon_before = datetime(2026, month, day - 1, 12, tzinfo=UTC)
    assert len(BERLIN.due_between(noon_before, noon_before + timedelta(days=1))) == 1


def test_a_night_that_began_was_not_missed() -> None:
    assert missed(BERLIN, LONG_AGO, MORNING, [DUE + timedelta(seconds=40)]) is None


def test_a_night_that_nobody_began_was_missed() -> None:
    the_night_before = DUE - timedelta(days=1)
    assert missed(BERLIN, LONG_AGO, MORNING, [the_night_before]) == DUE


def test_a_night_that_began_late_was_not_missed() -> None:
    assert missed(BERLIN, LONG_AGO, MORNING, [DUE + timedelta(hours=6)]) is None


def test_what_is_just_due_is_not_missed_yet() -> None:
    assert missed(BERLIN, DUE - timedelta(hours=1), DUE + timedelta(minutes=10), []) is None


def test_nothing_was_due_before_the_schedule_was_switched_on() -> None:
    assert missed(BERLIN, DUE + timedelta(minutes=1), MORNING, []) is None


def test_a_time_of_day_is_a_daily_cron_line_and_anything_else_is_refused() -> None:
    assert daily_at("02:00") == "0 2 * * *"
    assert daily_at("23:45") == "45 23 * * *"
    for wrong in ("2", "24:00", "02:60", "noon"):
        with pytest.raises(BadInput, match="not a time of day"):
            daily_at(wrong)


def test_a_time_zone_is_one_that_exists() -> None:
    assert known_timezone("Asia/Shanghai") == "Asia/Shanghai"
    with pytest.raises(BadInput, match="Mars"):
        known_timezone("Mars/Base")


def test_the_machines_time_zone_is_read_from_its_clock(tmp_path: Path) -> None:
    zone = tmp_path / "zoneinfo" / "Europe" / "Berlin"
    zone.parent.mkdir(parents=True)
    zone.touch()
    link = tmp_path / "localtime"
    link.symlink_to(zone)
    assert machine_timezone(link) == "Europe/Berlin"
    assert machine_timezone(tmp_path / "missing") == "UTC"


def test_a_missed_night_is_told_once() -> None:
    before = [Watched(BERLIN, LONG_AGO)]
    remembered, told = look(before, [BERLIN], [], MORNING)
    assert told == [DUE]
    again = look(remembered, [BERLIN], [], MORNING + timedelta(hours=1))
    assert again == (remembered, [])


def test_a_schedule_switched_on_at_noon_missed_nothing_last_night() -> None:
    remembered, told = look([], [BERLIN], [], MORNING)
    assert (remembered, told) == ([Watched(BERLIN, MORNING)], [])
    tomorrow = look(remembered, [BERLIN], [], MORNING + timedelta(days=1))
    assert tomorrow[1] == [DUE + timedelta(days=1)]


def test_what_was_switched_off_is_forgotten() -> None:
    assert look([Watched(BERLIN, LONG_AGO)], [], [], MORNING) == ([], [])


def test_a_look_is_remembered_on_disk(tmp_path: Path) -> None:
    file = tmp_path / "watched.json"
    watched = [Watched(BERLIN, LONG_AGO, DUE), Watched(Schedule("5 4 * * *", "UTC"), DUE)]
    assert read_watched(file) == []
    write_watched(file, watched)
    assert read_watched(file) == watched
    file.write_text("[{}]", encoding="utf-8")
    assert read_watched(file) == []
