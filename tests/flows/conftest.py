"""Houses for whole nights, with a Prefect server that all share or one of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from house import House
from up_house import UpHouse

from nightbench.cli.prefect_access import PrefectAccess
from nightbench.home.paths import Home


@pytest.fixture
def house(tmp_path: Path, prefect_server: PrefectAccess) -> House:
    return House(tmp_path, prefect_server)


@pytest.fixture
def house_with_its_own_prefect(tmp_path: Path, give_database: Callable[[Home], None]) -> House:
    """A house in which `nightbench run` starts a Prefect server, as on a fresh machine."""
    give_database(Home(tmp_path / "home"))
    return House(tmp_path)


@pytest.fixture
def up_house(tmp_path: Path, give_database: Callable[[Home], None]) -> Iterator[UpHouse]:
    """A house in which `nightbench up` is to be started. Nothing of it lives on."""
    give_database(Home(tmp_path / "home"))
    house = UpHouse(tmp_path)
    house.write_suite()
    yield house
    house.end()
