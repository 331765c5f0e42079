"""Two runs never load one server that nobody here starts at once, unless a suite says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nightbench.engines import target_engine
from nightbench.errors import LeaseError
from nightbench.night.run import config_digest
from nightbench.progress import Progress
from nightbench.serving.hardware import lease_files
from nightbench.serving.hardware.endpoint_leases import alone_at, resource_of
from nightbench.suite.models import Target

URL = "http://127.0.0.1:8200/v1"


@pytest.fixture
def where(tmp_path: Path) -> Path:
    folder = tmp_path / "leases"
    folder.mkdir(mode=0o700)
    return folder


def at(where: Path, url: str = URL, *, wait: bool = False, **how: object) -> object:
    told: list[Progress] = []
    given: dict[str, object] = {"within_s": 60.0, "on_progress": told.append, **how}
    return alone_at(url, where, "a-target", wait=wait, **given)  # type: ignore[arg-type]


def test_a_second_run_at_the_same_address_is_refused_or_waits(where: Path) -> None:
    with at(where), pytest.raises(LeaseError, match="under load by"), at(where):  # type: ignore[attr-defined]
        pass
    with at(where):  # type: ignore[attr-defined]
        pass
    assert lease_files.listing(where) == ([], [])


def test_one_that_waits_begins_when_the_other_is_over(where: Path) -> None:
    over, begun, told = threading.Event(), threading.Event(), []

    def sleep(_: float) -> None:
        over.set()
        begun.wait(5)

    def second() -> None:
        with alone_at(
            URL, where, "second", wait=True, within_s=60, on_progress=told.append, sleep=sleep
        ):
            pass

    waiting = threading.Thread(target=second)
    with at(where):  # type: ignore[attr-defined]
        waiting.start()
        assert over.wait(10)
    begun.set()
    waiting.join(10)
    assert not waiting.is_alive()
    assert len(told) == 1
    assert "is measuring this server" in told[0].detail


def test_it_is_not_waited_for_longer_than_the_night(where: Path) -> None:
    moments = iter([0.0, 1.0, 61.0])
    clock: Callable[[], float] = lambda: next(moments)  # noqa: E731
    held = at(where)
    again = at(where, wait=True, clock=clock, sleep=lambda _: None)
    with held, pytest.raises(LeaseError), again:  # type: ignore[attr-defined]
        pass


def test_an_error_of_the_run_leaves_no_lease(where: Path) -> None:
    with pytest.raises(KeyboardInterrupt), at(where):  # type: ignore[attr-defined]
        raise KeyboardInterrupt
    assert lease_files.listing(where) == ([], [])


def test_an_address_is_one_however_it_is_written() -> None:
    one = {
        resource_of(url)
        for url in (
            URL, "http://localhost:8200", "http://[::1]:8200/v1/", "https://LOCALHOST.:8200/x",
        )
    }  # fmt: skip
    assert len(one) == 1
    assert resource_of("https://api.example/v1") == resource_of("https://api.example:443/v1")
    assert resource_of("https://api.example/v1") != resource_of("http://api.example/v1")


def target(**engine: object) -> Target:
    return Target.model_validate({"name": "t", "engine": {"kind": "remote", **engine}})


def test_a_suite_may_share_its_server() -> None:
    assert not target(base_url=URL).is_shared
    assert target(base_url=URL, shared=True).is_shared
    assert target_engine.address_of(target(base_url=URL)) == URL
    assert config_digest(target(base_url=URL)) != config_digest(target(base_url=URL, shared=True))


def test_a_suite_of_before_has_the_digest_of_before() -> None:
    assert config_digest(target(base_url=URL)) == "d1e46565ee535ca0"
