"""A watch that cannot look is no healthy server; and what is to be stopped is asked to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from nightbench.endpoint import Endpoint
from nightbench.serving.supervise import watchdog
from nightbench.serving.supervise.heartbeat import HangLimits
from nightbench.serving.supervise.launched_server import LaunchedServer
from nightbench.serving.supervise.watchdog import Watchdog, WatchedServer
from nightbench.suite.models import Target

TARGET = Target.model_validate({"name": "t", "engine": {"kind": "command", "argv": ["{port}"]}})


def watched(running: Callable[[], bool]) -> WatchedServer:
    return WatchedServer(
        target=TARGET,
        endpoint=Endpoint(base_url="http://127.0.0.1:9/v1", model="m"),
        ready_path="/health",
        counters_path=None,
        running=running,
        patience=HangLimits.of(30),
    )


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "LOOK_EVERY_S", 0.01)


def trouble_of(watch: Watchdog, within_s: float = 10.0) -> str | None:
    deadline = time.monotonic() + within_s
    while watch.trouble is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return watch.trouble


def test_a_watch_that_fails_again_and_again_is_no_healthy_server() -> None:
    def no_more_files() -> bool:
        raise OSError(24, "Too many open files")

    with Watchdog(watched(no_more_files)) as watch:
        assert trouble_of(watch) == "watch_failed"
    assert "Too many open files" in watch.failure


def test_one_that_fails_now_and_then_goes_on() -> None:
    looks = iter([False, True, True, False, True, True] * 3)
    over = threading.Event()

    def sometimes() -> bool:
        fine = next(looks, None)
        if fine is None:
            over.set()
            return True
        if not fine:
            raise OSError(24, "Too many open files")
        return True

    with Watchdog(watched(sometimes)) as watch:
        assert over.wait(10)
        assert watch.trouble is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watch_whose_thread_died_is_a_dead_watch() -> None:
    def dies() -> bool:
        raise SystemExit

    with Watchdog(watched(dies)) as watch:
        assert trouble_of(watch) == "watch_failed"
        assert watch.look() == "watch_failed"


def test_a_watch_that_was_left_tells_of_no_trouble() -> None:
    with Watchdog(watched(lambda: True)) as watch:
        pass
    assert watch.trouble is None


class _Supervised:
    def __init__(self) -> None:
        self.asked = False

    def request_stop(self, *, kill: bool = False) -> None:
        self.asked = True


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), KeyboardInterrupt()])
def test_a_server_is_asked_to_stop_whatever_listing_its_processes_fails_with(
    error: BaseException,
) -> None:
    def failing() -> dict[int, int]:
        raise error

    launched = object.__new__(LaunchedServer)
    supervised = _Supervised()
    launched.started = type("Started", (), {"supervised": supervised})()
    launched._exit_reason = None
    launched._known_processes = failing  # type: ignore[method-assign]
    if isinstance(error, Exception):
        known, problems = launched._ask_to_stop()
        assert known == {}
        assert "Too many open files" in problems[0]
    else:
        with pytest.raises(KeyboardInterrupt):
            launched._ask_to_stop()
    assert supervised.asked
