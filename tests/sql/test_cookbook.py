"""The cookbook's recipes are run as they are printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightbench.history.ingest import land
from nightbench.history.reading import History, open_history
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import Shape, spool_night

COOKBOOK = Path(__file__).parents[2] / "docs" / "sql_cookbook.md"
RECIPES = re.findall(
    r"^## ([^\n]+)\n(?:(?!^## ).)*?```sql\n(.*?)```", COOKBOOK.read_text(), re.M | re.S
)
EMPTY_WHEN_ALL_IS_WELL = {"Which levels may not be judged, and why?"}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    home = Home(tmp_path_factory.mktemp("home"))
    for night in range(3):
        spool_night(home.spool, night, Shape(samples=40, drop_from=2, telemetry=30))
    land(home)
    with open_history(home) as opened:
        yield opened


@pytest.mark.parametrize(("title", "sql"), RECIPES, ids=[title for title, _ in RECIPES])
def test_the_recipe_answers(history: History, title: str, sql: str) -> None:
    assert bool(history.sql(sql).rows) != (title in EMPTY_WHEN_ALL_IS_WELL)


def test_no_recipe_is_missed() -> None:
    assert len(RECIPES) == COOKBOOK.read_text().count("```sql")
