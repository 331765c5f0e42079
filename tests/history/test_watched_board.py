"""Who sees the SwanLab dashboard that `nightbench watch` serves."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator

import httpx
import psutil
import pytest

from nightbench.cli.passwords import kept
from nightbench.dashboards import swanlab_mirror
from nightbench.history.ingest import land
from nightbench.home.paths import Home
from nightbench.suite.models import SwanlabSettings
from tests.benchmarks.synthetic_nights import Shape, run_id_of, spool_night
from tests.terminal import sign_in_address

WATCH = [sys.executable, "-m", "nightbench.cli.main", "watch", "--port", "0"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("watched") / "home")
    spool_night(home.spool, 0, Shape(levels=(1,), telemetry=5))
    assert land(home).findings == []
    swanlab_mirror.mirror_run(home, run_id_of(0), SwanlabSettings(), mode="local")
    return home


@pytest.fixture(scope="module")
def said(home: Home) -> Iterator[list[str]]:
    """What a terminal is told; the dashboard is served meanwhile."""
    ours, theirs = pty.openpty()
    env = os.environ | {"NIGHTBENCH_HOME": str(home.root)}
    with subprocess.Popen(WATCH, stdout=theirs, env=env) as watch:
        os.close(theirs)
        with os.fdopen(ours, encoding="utf-8") as terminal:
            yield [terminal.readline() for _ in range(2)]
            watch.send_signal(signal.SIGINT)
            assert watch.wait(60) == 130


@pytest.fixture
def client(said: list[str]) -> Iterator[httpx.Client]:
    """Somebody who says nothing but what a test has them say."""
    url = sign_in_address(said[0]).partition("/sign-in#")[0]
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as opened:
        yield opened


@pytest.fixture
def auth(home: Home) -> tuple[str, str]:
    user, _, password = (kept(home.dashboards / "watch" / "password") or "").partition(":")
    return user, password


@pytest.fixture(scope="module")
def routes() -> list[tuple[str, str]]:
    """Every route of SwanLab's, and pages."""
    from swanboard.app import app

    found = [
        (method, re.sub(r"{\w+}", "1", path))
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    ]
    assert len(found) > 15
    return [*found, ("get", "/"), ("get", "/assets/x.js"), ("get", "/openapi.json")]


def test_without_the_password_nothing_is_shown(
    client: httpx.Client, auth: tuple[str, str], routes: list[tuple[str, str]]
) -> None:
    for wrong in (None, (auth[0], "wrong"), ("", auth[1])):
        for method, path in routes:
            answer = client.request(method, path, auth=wrong)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"].startswith("Basic ")


def test_another_origin_and_another_name_are_refused_whatever_they_say(
    client: httpx.Client, auth: tuple[str, str], routes: list[tuple[str, str]]
) -> None:
    for headers in (
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Host": "elsewhere.example"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    ):
        for method, path in [*routes, ("get", "/sign-in"), ("post", "/sign-in")]:
            answer = client.request(method, path, auth=auth, headers=headers)
            assert answer.status_code == 403, (method, path, headers)


def test_the_address_signs_a_browser_in_once(
    said: list[str], client: httpx.Client, auth: tuple[str, str]
) -> None:
    token = sign_in_address(said[0]).partition("#")[2]
    word = b64decode(client.post("/sign-in", content=token).text).decode()
    assert word == ":".join(auth)
    assert client.post("/sign-in", content=token).status_code == 403
    shown = client.get("/api/v1/project", auth=auth)
    assert "starter over nights" in shown.text


def test_the_password_is_shown_when_it_is_new_and_is_in_no_command_line(
    said: list[str], auth: tuple[str, str]
) -> None:
    assert auth[1] in said[1]
    lines = []
    for process in psutil.process_iter(["cmdline"]):
        lines += process.info["cmdline"] or []
    assert not [line for line in lines if auth[1] in line]


def test_a_pipe_is_told_where_the_password_is(home: Home, said: list[str]) -> None:
    env = os.environ | {"NIGHTBENCH_HOME": str(home.root)}
    with subprocess.Popen(WATCH, stdout=subprocess.PIPE, env=env, text=True) as watch:
        assert watch.stdout is not None
        piped = watch.stdout.readline() + watch.stdout.readline()
        watch.send_signal(signal.SIGINT)
    assert "#" not in piped
    assert str(home.dashboards / "watch" / "password") in piped
