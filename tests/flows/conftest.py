"""A home after Prefect's migrations, for every whole night."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from house import House

from nightbench.cli.prefect_api import prefect_api
from nightbench.home import Home


@pytest.fixture(scope="session")
def prefect_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Prefect database after its migrations, which take longer than a night here."""
    home = Home(tmp_path_factory.mktemp("prefect"))
    with prefect_api(home, environ=os.environ | {"PREFECT_API_URL": ""}):
        return home.prefect / "prefect.db"


@pytest.fixture
def house(tmp_path: Path, prefect_database: Path) -> House:
    prefect = tmp_path / "home" / "prefect"
    prefect.mkdir(parents=True)
    shutil.copy(prefect_database, prefect)
    return House(tmp_path)
