"""`nightbench up` for real: server, worker, deployments, what is clicked, and its end."""

from __future__ import annotations

import httpx
import pytest
import yaml
from house import House
from up_house import UpHouse

pytestmark = pytest.mark.timeout(400)


def test_a_click_runs_a_suite_and_ctrl_c_leaves_nothing(up_house: UpHouse) -> None:
    up_house.up()
    form = up_house.deployment("nightly/smoke")["parameter_openapi_schema"]["properties"]
    assert {"reference", "starter"} <= set(form["suite"]["enum"])
    assert {"reference", "smollm2-135m"} <= set(form["targets"]["items"]["enum"])
    assert all(field["description"] for field in form.values())
    with pytest.raises(httpx.HTTPStatusError) as refused:
        up_house.click("nightly/smoke", suite="refrence")
    assert "'refrence' is not one of" in refused.value.response.text

    run = up_house.click("nightly/smoke", suite="reference")
    up_house.wait_for(run, "COMPLETED")
    assert up_house.sql("SELECT status, trigger, flow_run_id FROM runs") == [
        {"status": "completed", "trigger": "ui", "flow_run_id": run}
    ]
    assert up_house.sql("SELECT count(*) AS n FROM load_levels WHERE valid") == [{"n": 2}]

    again = up_house("up", "--port", "1")
    assert again.returncode == 0
    assert f"nightbench is up already: http://127.0.0.1:{up_house.port}" in again.stdout
    assert up_house.down() == 0
    assert up_house.living() == []
    assert up_house.engines() == []


def test_what_a_person_has_set_survives_the_next_up(up_house: UpHouse) -> None:
    up_house.arguments = ("--nightly", "reference", "--at", "03:30", "--timezone", "Asia/Shanghai")
    up_house.up()
    assert "Nights       reference, 30 3 * * * Asia/Shanghai\n" in up_house.said()
    nightly = up_house.deployment("nightly/nightly")
    up_house.ask("PATCH", f"/deployments/{nightly['id']}", {"parameters": {"suite": "starter"}})
    [automation] = up_house.ask("POST", "/automations/filter", {})
    assert up_house.down() == 0

    up_house.arguments = ()
    up_house.up()
    there = up_house.deployment("nightly/nightly")
    [schedule] = there["schedules"]
    assert there["parameters"] == {"suite": "starter"}
    assert schedule["active"]
    assert schedule["schedule"]["timezone"] == "Asia/Shanghai"
    # Not even touched: a server that gets it anew forgets which runs it was waiting for.
    assert up_house.ask("POST", "/automations/filter", {}) == [automation]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nightly", "refrence"], "there is no suite 'refrence' to run every night"),
        (["--timezone", "Mars/Base"], "there is no time zone 'Mars/Base'"),
        (["--at", "2am"], "'2am' is no time of day"),
        (["--suites", "nowhere"], "--suites nowhere is no folder"),
        (["--database-url", "postgresql://me:pw@db/prefect"], "has a password in it"),
        (["--database-url", "mysql://db/prefect"], "mysql:// is no Postgres"),
    ],
    ids=["suite", "zone", "time", "folder", "password", "mysql"],
)
def test_bad_input_is_refused_before_anything_starts(
    house: House, arguments: list[str], said: str
) -> None:
    refused = house("up", *arguments)
    assert refused.returncode == 2, refused.stderr
    assert said in refused.stderr
    assert not (house.folder / "home" / "prefect" / "server.log").exists()


def test_a_suite_that_cannot_be_read_is_left_out_and_named(up_house: UpHouse) -> None:
    (up_house.suites / "broken.yaml").write_text("name: broken\ntargetz: []\n", encoding="utf-8")
    up_house.up()
    form = up_house.deployment("nightly/smoke")["parameter_openapi_schema"]["properties"]
    assert "broken" not in form["suite"]["enum"]
    assert "left out" in up_house.said()
    assert "targetz: unknown key" in up_house.said()


def test_the_shipped_deployments_hold_no_lease_that_prefect_could_end_a_night_over() -> None:
    from nightbench.resources import deployments_dir

    text = (deployments_dir() / "prefect.yaml").read_text(encoding="utf-8")
    assert not [d for d in yaml.safe_load(text)["deployments"] if "concurrency_limit" in d]
