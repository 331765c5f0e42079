"""Thirty nights in the SwanLab dashboard that `nightbench watch` serves: a person sees the drop."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from nightbench.cli.ways_in import address
from nightbench.history.ingest import land
from nightbench.home.paths import Home
from tests.benchmarks.synthetic_nights import Shape, spool_night
from tests.browser.conftest import TakePicture
from tests.terminal import sign_in_address

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

NIGHTS, DROP_FROM = 30, 22
SHOWN_MS = 60_000  # a chart is drawn when its numbers have come
SHAPE = Shape(drop_from=DROP_FROM, levels=(1, 4, 8, 16))


@dataclass(frozen=True)
class Board:
    """A dashboard that is served."""

    printed: str  # the address that a terminal shows
    home: Home

    def another_address(self) -> str:
        """For another browser."""
        tokens = self.home.dashboards / "watch" / "sign-in"
        return address(self.printed.partition("/sign-in")[0], tokens, is_terminal=True)


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A dashboard made from a history that the real code has landed."""
    home = Home(tmp_path_factory.mktemp("home"))
    for night in range(NIGHTS):
        spool_night(home.spool, night, SHAPE)
    assert land(home).findings == []
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "nightbench.cli.main", "watch", "--resync", "--port", "0"]
    env = os.environ | {"NIGHTBENCH_HOME": str(home.root)}
    with (
        subprocess.Popen(argv, env=env, stdout=theirs) as watch,
        os.fdopen(ours, encoding="utf-8") as terminal,
    ):
        os.close(theirs)
        said = [terminal.readline() for _ in range(3)]
        assert said[1] == f"rebuilt from the history: {NIGHTS} runs\n"
        yield Board(sign_in_address(said[2]), home)
        watch.send_signal(signal.SIGINT)
        assert watch.wait(60) == 130


def test_the_series_over_nights_shows_the_drop(
    dashboard: Board, page: Page, take_picture: TakePicture
) -> None:
    drawn: dict[str, list[float]] = {}

    def note(response: object) -> None:
        path = response.url.partition("/tag/")[2]  # type: ignore[attr-defined]
        if path:
            points = response.json()["data"]["list"]  # type: ignore[attr-defined]
            drawn[path] = [point["data"] for point in points]

    page.on("response", note)
    page.goto(dashboard.printed)
    page.get_by_role("link", name="starter over nights").click()
    expect(page.get_by_text("30 nights until 2026-01-30")).to_be_visible(timeout=SHOWN_MS)
    expect(page.get_by_text("Finished")).to_be_visible(timeout=SHOWN_MS)
    for chart in ("nights/accuracy/starter", "nights/output_throughput/openqa/c1"):
        expect(page.get_by_text(chart, exact=True)).to_be_visible(timeout=SHOWN_MS)
    expect(page.locator("canvas").first).to_be_visible(timeout=SHOWN_MS)
    page.wait_for_load_state("networkidle")
    take_picture("swanlab-30-nights")
    accuracy = drawn["nights/accuracy/starter"]
    assert len(accuracy) == NIGHTS
    assert min(accuracy[:DROP_FROM]) - max(accuracy[DROP_FROM:]) > 0.2


def test_a_night_has_its_curves_over_concurrency(
    dashboard: Board, page: Page, take_picture: TakePicture
) -> None:
    page.goto(dashboard.another_address())
    page.get_by_role("link", name="starter 2026-01-30 00:00").click()
    expect(page.get_by_text("load/openqa/output_throughput", exact=True)).to_be_visible(
        timeout=SHOWN_MS
    )
    page.wait_for_load_state("networkidle")
    take_picture("swanlab-one-night")
    page.get_by_text("Experiment Card").click()
    expect(page.get_by_text("20260130T000000Z-starter-00001d").first).to_be_visible(
        timeout=SHOWN_MS
    )
