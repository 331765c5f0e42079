"""A real browser for tests of what people see: Debian's chromium, driven by playwright.

Pictures are kept in test-output/browser (NIGHTBENCH_PICTURES): CI keeps them, people look at them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Error, Page, Route, sync_playwright

REPOSITORY = Path(__file__).parents[2]
HOSTS = ("127.0.0.1", "localhost")
TakePicture = Callable[[str], Path]
_CALL_FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where the browser is; the tests are skipped where there is none."""
    found = os.environ.get("NIGHTBENCH_CHROMIUM") or shutil.which("chromium")
    if found is None:
        pytest.skip("there is no chromium: apt-get install -y chromium")
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """One browser for all tests; each page has a profile of its own."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def pictures() -> Path:
    """The folder of the pictures."""
    folder = Path(os.environ.get("NIGHTBENCH_PICTURES") or REPOSITORY / "test-output" / "browser")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def page(browser: Browser, pictures: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that reaches this machine only; a picture of its end is kept if the test fails."""
    context = browser.new_context(viewport={"width": 1360, "height": 900}, color_scheme="light")
    context.set_default_timeout(30_000)
    context.route("**/*", _this_machine_only)
    opened = context.new_page()
    yield opened
    if request.node.stash.get(_CALL_FAILED, False):
        opened.screenshot(path=pictures / f"failed-{request.node.name}.png", full_page=True)
    context.close()


@pytest.fixture
def take_picture(page: Page, pictures: Path) -> TakePicture:
    """Keep a picture of the page as it is now."""

    def take(name: str) -> Path:
        path = pictures / f"{name}.png"
        page.screenshot(path=path)
        return path

    return take


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Let fixtures know how the test went, and the report of a failure what the page said."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.when == "call":
        item.stash[_CALL_FAILED] = report.failed
        if report.failed and "page" in getattr(item, "funcargs", {}):
            report.sections.append(("what the page said", _text_of(item.funcargs["page"])))  # type: ignore[attr-defined]


def _text_of(page: Page) -> str:
    try:
        return page.locator("body").inner_text()
    except Error as error:  # a browser that is gone must not hide why the test failed
        return f"nothing: {error}"


def _this_machine_only(route: Route) -> None:
    if urlsplit(route.request.url).hostname in HOSTS or not route.request.url.startswith("http"):
        route.continue_()
    else:
        route.abort()
