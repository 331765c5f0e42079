"""`nightbench up` in a home of its own, and Prefect's pages as a person walks through them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx
import psutil
from playwright.sync_api import Page, Response, expect
from playwright.sync_api import TimeoutError as NotInTime

from nightbench.cli.prefect_access import basic, known_auth
from nightbench.home.paths import Home
from nightbench.serving.probing import free_port
from tests.terminal import on_a_terminal, sign_in_address

NIGHTBENCH = (sys.executable, "-m", "nightbench.cli.main")
UP_S, DOWN_S, CLICK_S = 180.0, 90.0, 30.0


class Up:
    """A `nightbench up` that runs: its address, and the processes below it."""

    def __init__(
        self, url: str, home: Home, process: subprocess.Popen[bytes], env: Mapping[str, str]
    ) -> None:
        self.url = url
        self.home = home
        self.password = known_auth(home, {}) or ""
        self._env = env
        self._process = psutil.Process(process.pid)
        self._own = set(self.processes())

    def sign_in_address(self) -> str:
        """What a terminal shows: an address that signs a browser in."""
        return sign_in_address(on_a_terminal([*NIGHTBENCH, "up"], self._env))

    def processes(self) -> list[psutil.Process]:
        """Everything it has started and that still lives."""
        return self._process.children(recursive=True)

    def of_runs(self) -> list[psutil.Process]:
        """Of these, what is neither Prefect's server nor its worker."""
        return [process for process in self.processes() if process not in self._own]

    def page_of(self, name: str) -> str:
        """The page of the flow run whose name begins like this, the newest one."""
        found = self._ask("flow_runs", {"sort": "EXPECTED_START_TIME_DESC"})
        runs = [run for run in found if str(run["name"]).startswith(name)]
        return f"{self.url}/v2/runs/flow-run/{runs[0]['id']}"

    def has_artifact(self, key: str) -> bool:
        """Whether a run has got as far as this artifact."""
        return any(artifact["key"] == key for artifact in self._ask("artifacts", {}))

    def _ask(self, what: str, query: dict[str, str]) -> list[dict[str, object]]:
        url = f"{self.url}/api/{what}/filter"
        auth = basic(self.password)
        answer = httpx.post(url, json=query, auth=auth, timeout=30, trust_env=False)
        found: list[dict[str, object]] = answer.json()
        return found


@contextmanager
def up(folder: Path, engine_home: Home, *arguments: str) -> Iterator[Up]:
    """Start it on a machine that knows nothing of nightbench, but has the engine built."""
    home = Home(folder / "home")
    home.root.mkdir()
    for name in ("engines", "models"):
        (home.root / name).symlink_to(engine_home.root / name)
    env = os.environ | {
        "NIGHTBENCH_HOME": str(home.root),
        "NIGHTBENCH_LEASES": str(folder / "leases"),
        "SWANLAB_MODE": "local",
        "PREFECT_API_URL": "",
    }
    url = f"http://127.0.0.1:{(port := free_port())}"
    log = folder / "up.log"
    # A background shell has SIGINT ignored, and a child would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*NIGHTBENCH, "up", f"--port={port}", *arguments],
            env=env,
            cwd=folder,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        wait_until(lambda: b"Ctrl-C stops" in log.read_bytes() or process.poll() is not None, UP_S)
        assert process.poll() is None, log.read_text(encoding="utf-8")
        running = Up(url, home, process, env)
        yield running
        everything = running.processes()
        process.send_signal(signal.SIGINT)
        assert process.wait(DOWN_S) == 0, log.read_text(encoding="utf-8")
        assert [left for left in everything if left.is_running()] == []
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(DOWN_S)


def wait_until(condition: Callable[[], bool], timeout_s: float) -> None:
    """Wait for something outside the browser."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)


def type_password(page: Page, running: Up) -> None:
    """In a browser that was not signed in by an address."""
    page.goto(running.url)
    page.get_by_placeholder("admin:pass").fill(running.password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Deployments", exact=True)).to_be_visible()


def open_deployment(page: Page, address: str, name: str) -> None:
    """From the front page to a deployment, by clicks."""
    page.goto(address)
    page.get_by_role("link", name="Deployments", exact=True).click()
    page.locator('a[href*="/deployments/deployment/"]', has_text=name).first.click()
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_visible()


def choose_suite(page: Page, name: str) -> None:
    """In the form of a custom run."""
    page.get_by_label("Select suite").click()
    page.get_by_role("option", name=name, exact=True).click()
    expect(page.get_by_role("option")).to_have_count(0)  # the list has faded away


def choose_run(page: Page, which: str) -> None:
    """`Quick run` or `Custom run`, of the deployment that is open."""
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("menuitem", name=which).click()


def start_run(page: Page, click: Callable[[], None]) -> None:
    """Click until Prefect has made a run, and open its page.

    A click that lands while the page is drawn anew is lost, and one that finds Prefect's database
    busy is refused; a person clicks again. The note with the link to the run is gone after 4 s,
    which a busy machine may need to draw it.
    """
    try:
        created = _answer_to(page, click)
    except NotInTime:
        page.keyboard.press("Escape")  # a menu left open covers the button
        created = _answer_to(page, click)
    if created.status == httpx.codes.SERVICE_UNAVAILABLE:
        created = _answer_to(page, click)
    assert created.ok, created.text()
    page.goto(urljoin(page.url, f"/v2/runs/flow-run/{created.json()['id']}"))


def _answer_to(page: Page, click: Callable[[], None]) -> Response:
    def creates_a_run(response: Response) -> bool:
        return response.url.endswith("/create_flow_run")

    with page.expect_response(creates_a_run, timeout=CLICK_S * 1000) as answer:
        click()
    return answer.value


def cancel(page: Page) -> None:
    """The run whose page is open, by its menu."""
    page.get_by_role("button", name="Open menu").first.click()
    page.get_by_role("menuitem", name="Cancel").click()
    page.get_by_role("button", name="Cancel Flow Run").click()


def open_tab(page: Page, name: str) -> None:
    """One of the tabs below a run."""
    page.get_by_role("tab", name=name, exact=True).click()
