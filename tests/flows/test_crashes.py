"""Killed and cancelled in mid-run, for real: nothing is left, nothing measured is lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator

import pytest
import yaml
from house import REFERENCE_SERVER
from up_house import UpHouse

from nightbench.home.paths import Home

pytestmark = [pytest.mark.up, pytest.mark.timeout(900)]

SEALED_WITHIN_S = 20
CRASHED_WITHIN_S = 300


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, give_database: Callable[[Home], None]
) -> Iterator[UpHouse]:
    """Up for all of the module, with a suite that lasts a minute at each of its stages."""
    folder = tmp_path_factory.mktemp("crashes")
    give_database(Home(folder / "home"))
    up_house = UpHouse(folder)
    up_house.write_suite()
    given = yaml.safe_load((up_house.suites / "reference.yaml").read_text(encoding="utf-8"))
    [target], [load] = given["targets"], given["load"]
    python = target["engine"]["argv"][0]
    server = f"{python} {REFERENCE_SERVER} --port={{port}} --ttft-ms=20 --itl-ms=20"
    slow_boot = {"kind": "command", "argv": ["sh", "-c", f"sleep 60; exec {server}"]}
    asks = {"benchmark": "starter", "max_concurrency": 2, "generation": {"max_tokens": 30}}
    sends = load | {"max_concurrency": [4, 1], "generation": {"max_tokens": 60}}
    up_house.write_suite("boots", targets=[target | {"engine": slow_boot, "boot_timeout_s": 120}])
    slow = target | {"engine": {"kind": "command", "argv": server.split()}}
    up_house.write_suite("asks", targets=[slow], accuracy=[asks])
    up_house.write_suite("loads", targets=[slow], accuracy=[], load=[sends])
    try:
        up_house.up()
        yield up_house
    finally:
        up_house.end()


def of(run: str) -> str:
    """Where the rows of a flow run are."""
    return f"WHERE run_id = (SELECT run_id FROM runs WHERE flow_run_id = '{run}')"


def begin(house: UpHouse, suite: str, mark: str) -> str:
    """A run of a suite that has come as far as `mark`."""
    run = house.click("nightly/smoke", suite=suite)
    house.wait_for_log(run, mark)
    assert house.engines()
    return run


@pytest.mark.parametrize(
    ("suite", "mark"),
    [
        ("boots", "boot reference"),
        ("asks", "accuracy starter: 32 of 128"),
        ("loads", "load chat c1: 5 of 20"),
    ],
)
def test_a_cancelled_run_lets_go_and_is_sealed_in_time(
    house: UpHouse, suite: str, mark: str
) -> None:
    run = begin(house, suite, mark)
    began = time.monotonic()
    house.cancel(run)
    gone_s = house.until(lambda: not house.engines() and not house.leased(), SEALED_WITHIN_S)
    house.until(lambda: not house.open_folders(), SEALED_WITHIN_S)
    sealed_s = time.monotonic() - began
    house.until(lambda: {house.state(one) for one in house.family(run)} == {"CANCELLED"}, 60)
    cancelled_s = time.monotonic() - began
    print(
        f"{suite}: engine gone {gone_s:.1f} s, sealed {sealed_s:.1f} s, marked {cancelled_s:.1f} s"
    )
    assert sealed_s < SEALED_WITHIN_S
    house("land")
    assert house.sql(f"SELECT status FROM runs {of(run)}") == [{"status": "cancelled"}]
    assert house.sql(f"SELECT status FROM targets {of(run)}") == [{"status": "cancelled"}]
    if suite == "asks":
        [counted] = house.sql(f"SELECT count(*) AS n FROM accuracy_samples {of(run)}")
        assert counted["n"] >= 32
    if suite == "loads":
        assert {"level": "c4"} in house.sql(f"SELECT level FROM load_levels {of(run)}")


def test_a_worker_killed_in_mid_run_does_not_touch_the_measurement(house: UpHouse) -> None:
    run = begin(house, "loads", "load chat c1: 5 of 20")
    worker = house.process_of("worker")
    worker.send_signal(signal.SIGKILL)
    house.until(
        lambda: "the Prefect worker ended by itself (SIGKILL); started again" in house.said(), 20
    )
    house.wait_for(run, "COMPLETED", timeout_s=240)
    assert house.sql(f"SELECT status FROM runs {of(run)}") == [{"status": "completed"}]
    assert house.sql(f"SELECT count(*) AS n FROM load_levels {of(run)}") == [{"n": 2}]
    again = house.click("nightly/smoke", suite="reference")
    house.wait_for(again, "COMPLETED")


def test_a_server_restarted_in_mid_run_does_not_touch_the_measurement(house: UpHouse) -> None:
    run = begin(house, "loads", "load chat c1: 5 of 20")
    house.process_of("server").send_signal(signal.SIGKILL)
    house.until(
        lambda: "the Prefect server ended by itself (SIGKILL); started again" in house.said(), 20
    )
    house.until(house.answers, 60)
    house.wait_for(run, "COMPLETED", timeout_s=300)
    assert house.sql(f"SELECT status FROM runs {of(run)}") == [{"status": "completed"}]
    assert house.sql(f"SELECT count(*) AS n FROM load_levels {of(run)}") == [{"n": 2}]
    again = house.click("nightly/smoke", suite="reference")
    house.wait_for(again, "COMPLETED")


def test_a_killed_flow_is_marked_its_server_goes_and_its_results_land(house: UpHouse) -> None:
    """Together with its worker, so that nobody but the heartbeats can tell."""
    run = begin(house, "loads", "load chat c1: 5 of 20")
    flow, worker = house.flow_process(run), house.process_of("worker")
    began = time.monotonic()
    worker.send_signal(signal.SIGKILL)
    flow.send_signal(signal.SIGKILL)
    gone_s = house.until(lambda: not house.engines() and not house.leased(), 20)
    house.until(
        lambda: {house.state(one) for one in house.family(run)} == {"CRASHED"}, CRASHED_WITHIN_S
    )
    print(f"engine gone {gone_s:.1f} s, marked crashed {time.monotonic() - began:.0f} s")
    maintenance = house.click("maintenance/maintenance")
    house.wait_for(maintenance, "COMPLETED")
    assert house.sql(f"SELECT status FROM runs {of(run)}") == [{"status": "crashed"}]
    assert {"level": "c4"} in house.sql(f"SELECT level FROM load_levels {of(run)}")
    again = house.click("nightly/nightly", suite="reference")
    house.wait_for(again, "COMPLETED")
    assert house.sql(f"SELECT status FROM runs {of(again)}") == [{"status": "completed"}]


def test_a_flow_killed_alone_is_marked_at_once_by_its_worker(house: UpHouse) -> None:
    run = begin(house, "loads", "load chat c1: 5 of 20")
    house.flow_process(run).send_signal(signal.SIGKILL)
    took_s = house.wait_for(run, "CRASHED", timeout_s=60)
    print(f"marked crashed {took_s:.1f} s")
    house.until(lambda: not house.engines() and not house.leased(), 20)
