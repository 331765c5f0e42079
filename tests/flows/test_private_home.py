"""A night leaves nothing that another user of the machine could read, but what a group is given."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from house import House

from tests.colleague import only_for_root

pytestmark = pytest.mark.timeout(300)

TEAM = 61234  # a group of the kernel's alone: no file of the system names it


def night(house: House) -> Path:
    """Run one as a person whose umask is the usual one; the home it made."""
    home = house.folder / "home"
    (home / "prefect" / "prefect.db").chmod(0o600)  # given by the test
    before = os.umask(0o022)
    try:
        done = house("run", str(house.suite()), "--json", str(house.folder / "night.json"))
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    return home


def open_to_others(home: Path) -> dict[str, str]:
    """Every path that its owner is not alone with, and its permissions."""
    found = {}
    for path in [home, *home.rglob("*")]:
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and mode & 0o077:
            found[str(path.relative_to(home))] = f"{stat.S_IMODE(mode):o}"
    return found


def test_a_night_leaves_nothing_that_others_may_read_but_what_a_person_asked_for(
    house_with_its_own_prefect: House,
) -> None:
    home = night(house_with_its_own_prefect)
    there = {path.name for path in home.iterdir()}
    assert {"history", "spool", "logs", "dashboards", "prefect"} <= there
    assert open_to_others(home) == {}
    asked = house_with_its_own_prefect.folder / "night.json"
    assert stat.S_IMODE(asked.stat().st_mode) == 0o644  # the person's, as their umask has it


@only_for_root
def test_a_night_opens_its_history_to_a_group_and_nothing_else(
    house_with_its_own_prefect: House,
) -> None:
    house_with_its_own_prefect.env["NIGHTBENCH_GROUP"] = str(TEAM)
    home = night(house_with_its_own_prefect)
    opened = open_to_others(home)
    assert opened.pop(".") == "710"
    assert opened.pop("history/history.duckdb") == "640"
    for path, mode in opened.items():
        assert path.startswith("history")
        assert mode == ("640" if path.endswith(".parquet") else "750")
        assert (home / path).stat().st_gid == TEAM
    assert any(path.endswith("load_requests.parquet") for path in opened)
