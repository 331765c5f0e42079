"""A home after Prefect's migrations, for every whole night."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from house import House
from up_house import UpHouse

from nightbench.cli.prefect_api import prefect_api
from nightbench.home import Home


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose Prefect database is made: its migrations take longer than a night here."""
    return Home(tmp_path_factory.mktemp("prefect"))


@pytest.fixture(scope="session")
def prefect_server(prefect_home: Home) -> Iterator[str]:
    """The URL of a Prefect API for all nights that are not about Prefect's server."""
    with prefect_api(prefect_home, environ=os.environ | {"PREFECT_API_URL": ""}) as url:
        yield url


@pytest.fixture
def house(tmp_path: Path, prefect_server: str) -> House:
    return House(tmp_path, prefect_server)


@pytest.fixture
def house_with_its_own_prefect(tmp_path: Path, prefect_server: str, prefect_home: Home) -> House:
    """A house in which `nightbench run` starts a Prefect server, as on a fresh machine."""
    give_database(prefect_home, Home(tmp_path / "home"))
    return House(tmp_path)


def give_database(made_in: Home, home: Home) -> None:
    """A Prefect database after its migrations, and empty."""
    home.prefect.mkdir(parents=True)
    with (
        closing(sqlite3.connect(made_in.prefect / "prefect.db")) as made,
        closing(sqlite3.connect(home.prefect / "prefect.db")) as mine,
    ):
        made.backup(mine)
        mine.execute("DELETE FROM flow_run")
        mine.execute("DELETE FROM artifact")
        mine.commit()


@pytest.fixture
def up_house(tmp_path: Path, prefect_server: str, prefect_home: Home) -> Iterator[UpHouse]:
    """A house in which `nightbench up` is to be started. Nothing of it lives on."""
    give_database(prefect_home, Home(tmp_path / "home"))
    house = UpHouse(tmp_path)
    house.write_suite()
    yield house
    house.end()
