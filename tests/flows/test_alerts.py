"""The morning's message of whole nights, to a real receiver."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import yaml
from house import House

from nightbench.cli.prefect_api import prefect_settings
from nightbench.home.paths import Home
from tests.unit.alerts.receiving import Receiver, receiver

pytestmark = pytest.mark.timeout(180)
SECRET = "T0KEN-that-nobody-may-see"
DYING = {
    "name": "dying",
    "served_model_name": "x",
    "engine": {
        "kind": "command",
        "argv": [sys.executable, "-c", "raise SystemExit('no such knob: {port}')"],
    },
}


def python(house: House, code: str) -> subprocess.CompletedProcess[str]:
    """Run a few lines beside the house's Prefect server."""
    env = house.env | prefect_settings(Home.from_env(house.env))
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )


@pytest.fixture
def chat() -> Iterator[Receiver]:
    with receiver() as received:
        yield received


def test_a_night_sends_one_message_and_its_address_is_nowhere(
    house_with_its_own_prefect: House, chat: Receiver
) -> None:
    house = house_with_its_own_prefect
    house.env["NIGHTBENCH_ALERT_URL"] = f"{chat.url}/services/{SECRET}"
    [healthy] = yaml.safe_load(house.suite().read_text(encoding="utf-8"))["targets"]
    night = house("run", str(house.suite(targets=[healthy, DYING])))
    assert night.returncode == 1
    [body] = chat.bodies
    assert "1 measured, 1 failed" in body["text"]
    assert "• dying: " in body["text"]
    assert "no such knob" not in body["text"]  # the whole tail is on the run's page
    assert SECRET not in night.stdout + night.stderr
    for file in (house.folder / "home").rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file
    pages = house.prefect("SELECT data FROM artifact WHERE key = 'server-log-dying'")
    assert pages  # one for each attempt at a boot
    assert all("no such knob" in page[0] for page in pages)


def test_a_receiver_that_refuses_does_not_fail_a_night(
    house_with_its_own_prefect: House, chat: Receiver
) -> None:
    house = house_with_its_own_prefect
    chat.status = 500
    house.env["NIGHTBENCH_ALERT_URL"] = f"{chat.url}/{SECRET}"
    night = house("run", str(house.suite()))
    assert night.returncode == 0, night.stdout + night.stderr
    assert len(chat.bodies) == 1
    [logged] = house.prefect("SELECT message FROM log WHERE message LIKE '%was not sent%'")
    assert "HTTP 500" in logged[0]
    assert SECRET not in logged[0]


def test_a_night_that_never_began_is_not_silent(house: House, chat: Receiver) -> None:
    house.env["NIGHTBENCH_ALERT_URL"] = f"{chat.url}/hook"
    suite = house.suite()
    code = (
        "import sys; from flows.nightly import nightly;"
        f"nightly({str(suite)!r}, resume='no-such-run', return_state=True)"
    )
    assert python(house, code).returncode == 0
    [body] = chat.bodies
    assert body["text"].startswith("❌ suite: the night ended without results")
    assert "there is no history" in body["text"]


def test_prefect_blocks_are_told_too(house: House, chat: Receiver) -> None:
    code = (
        "from prefect.blocks.notifications import CustomWebhookNotificationBlock as Hook;"
        "from prefect.blocks.system import Secret;"
        f"Hook(name='n', url='{chat.url}/block', json_data={{'said': '{{{{subject}}}}'}})"
        ".save('nightbench-alert');"
        f"Secret(value='{chat.url}/secret').save('nightbench-alert-team')"
    )
    made = python(house, code)
    assert made.returncode == 0, made.stderr
    night = house("run", str(house.suite()))
    assert night.returncode == 0, night.stdout + night.stderr
    assert sorted(chat.paths) == ["/block", "/secret"]
    [said] = [body["said"] for body in chat.bodies if "said" in body]
    assert said.endswith("1 measured")
