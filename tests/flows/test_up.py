"""`nightbench up` for real: server, worker, deployments, what is clicked, and its end."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import yaml
from house import PROMPTS, House
from up_house import UpHouse

pytestmark = [pytest.mark.up, pytest.mark.timeout(900)]


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
    assert up_house.sql("SELECT count(*) AS n FROM load_levels") == [{"n": 2}]

    form = up_house.deployment("accept/accept")["parameter_openapi_schema"]["properties"]
    assert form["decision"]["enum"] == ["accept", "refuse"]
    assert all(field["description"] for field in form.values())
    with pytest.raises(httpx.HTTPStatusError, match=r"422|409"):
        up_house.click("accept/accept", what="reference", author="ada", reason="")
    wanted = {"what": "reference", "author": "ada", "reason": "as it is to be"}
    up_house.wait_for(up_house.click("accept/accept", **wanted), "COMPLETED")
    up_house.wait_for(up_house.click("accept/accept", **wanted, decision="refuse"), "FAILED")
    assert up_house.sql("SELECT target, kind, author, reason FROM annotations") == [
        {"target": "reference", "kind": "accepted", "author": "ada", "reason": "as it is to be"}
    ]

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
    before = automation_of(up_house)
    late = up_house.until_scheduled(nightly["id"])
    assert up_house.down() == 0
    up_house.make_late(late)

    up_house.arguments = ()
    up_house.up()
    there = up_house.deployment("nightly/nightly")
    [schedule] = there["schedules"]
    assert there["parameters"] == {"suite": "starter"}
    assert schedule["active"]
    assert schedule["schedule"]["timezone"] == "Asia/Shanghai"
    # What was due while nobody was up does not begin at breakfast.
    assert up_house.state(late) == "CANCELLED"
    # Not even touched: a server that gets it anew forgets which runs it was waiting for.
    assert automation_of(up_house) == before


def automation_of(up_house: UpHouse) -> dict[str, Any]:
    """The one automation there is; the server has its events as a set, in no order."""
    [found] = up_house.ask("POST", "/automations/filter", {})
    found["trigger"]["expect"].sort()
    automation: dict[str, Any] = found
    return automation


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nightly", "refrence"], "there is no suite 'refrence' to run every night"),
        (["--timezone", "Mars/Base"], "there is no time zone 'Mars/Base'"),
        (["--at", "2am"], "'2am' is not a time of day"),
        (["--suites", "nowhere"], "--suites nowhere is not a folder"),
        (["--database-url", "postgresql://me:pw@db/prefect"], "has a password in it"),
        (["--database-url", "mysql://db/prefect"], "mysql:// is not a Postgres"),
        (["--allowed-host", "http://proxy"], "'http://proxy' is not a host name"),
        (["--no-auth"], "--no-auth, and a password in PREFECT_SERVER_API_AUTH_STRING"),
    ],
    ids=["suite", "zone", "time", "folder", "password", "mysql", "name", "no-auth"],
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


def test_a_night_hands_targets_to_another_node_and_one_set_of_cores_is_shared_in_turn(
    up_house: UpHouse,
) -> None:
    """Two workers on one machine: the second says it has four GPUs."""
    given = yaml.safe_load((up_house.suites / "reference.yaml").read_text(encoding="utf-8"))
    [target] = given["targets"]
    elsewhere = target | {"name": "elsewhere", "engine": target["engine"] | {"num_gpus": 4}}
    up_house.write_suite("two", targets=[target, elsewhere])
    up_house.up()
    with up_house.join("gpu4") as node:
        up_house.until(lambda: "Ctrl-C stops it" in node.said(), 90)
        up_house.until(lambda: up_house.ask("GET", "/work_pools/gpu4")["status"] == "READY", 60)
        run = up_house.click("nightly/nightly", suite="two")
        up_house.wait_for(run, "COMPLETED", timeout_s=300)
    assert "elsewhere is measured by gpu4" in up_house.logs(run)
    assert up_house.sql("SELECT target, status FROM targets ORDER BY target") == [
        {"target": "elsewhere", "status": "completed"},
        {"target": "reference", "status": "completed"},
    ]
    assert up_house.sql("SELECT count(DISTINCT run_id) AS n FROM targets") == [{"n": 1}]
    # Both wanted the same cores at the same time: one waited until the other's server was gone.
    up = "max(stopped_at) FILTER (target = '{}') <= min(started_at) FILTER (target = '{}')"
    one, other = up.format("elsewhere", "reference"), up.format("reference", "elsewhere")
    assert up_house.sql(f"SELECT {one} OR {other} AS in_turn FROM servers") == [{"in_turn": True}]


def test_another_node_measures_the_suite_the_night_began_with(up_house: UpHouse) -> None:
    """It has no file of that name, the night's own is edited as it begins and its prompts go, and
    what is not the text that was sent is refused."""
    given = yaml.safe_load((up_house.suites / "reference.yaml").read_text(encoding="utf-8"))
    [target], [load] = given["targets"], given["load"]
    load["workload"]["path"] = "prompts.jsonl"
    elsewhere = target | {"name": "elsewhere", "engine": target["engine"] | {"num_gpus": 4}}
    edits = "echo 'name: edited at midnight' > travels.yaml && rm prompts.jsonl"
    before = {"argv": ["sh", "-c", edits]}
    suite = {"name": "travels", "targets": [elsewhere], "load": [load], "before": [before]}
    (up_house.suites / "travels.yaml").write_text(yaml.safe_dump(suite), encoding="utf-8")
    node_suites = up_house.folder / "suites-of-the-node"
    node_suites.mkdir()
    for folder in (up_house.suites, node_suites):
        (folder / "prompts.jsonl").write_text(PROMPTS, encoding="utf-8")
    up_house.up()
    with up_house.join("gpu4", node_suites) as node:
        up_house.until(lambda: "Ctrl-C stops it" in node.said(), 90)
        up_house.until(lambda: up_house.ask("GET", "/work_pools/gpu4")["status"] == "READY", 60)
        run = up_house.click("nightly/nightly", suite="travels")
        up_house.wait_for(run, "COMPLETED", timeout_s=300)
        [sent] = up_house.runs(name={"any_": ["elsewhere"]})
        parameters = sent["parameters"]
        changed = parameters["suite_text"].replace("num_prompts: 20", "num_prompts: 1")
        forged = up_house.click("benchmark-target/gpu4", **parameters | {"suite_text": changed})
        up_house.wait_for(forged, "FAILED")
        assert "was changed on its way" in up_house.logs(forged)
    assert "edited at midnight" in (up_house.suites / "travels.yaml").read_text(encoding="utf-8")
    assert up_house.sql("SELECT target, status FROM targets") == [
        {"target": "elsewhere", "status": "completed"}
    ]
    assert up_house.sql("SELECT level, completed FROM load_levels ORDER BY level") == [
        {"level": "c2", "completed": 20},
        {"level": "c4", "completed": 20},
    ]


def test_a_click_goes_before_what_is_left_of_a_night(up_house: UpHouse) -> None:
    given = yaml.safe_load((up_house.suites / "reference.yaml").read_text(encoding="utf-8"))
    [target] = given["targets"]
    slow = given["load"][0] | {"max_concurrency": 1, "generation": {"max_tokens": 90}}
    night = [target | {"name": f"night-{n}", "load": [slow]} for n in range(3)]
    up_house.write_suite("night", targets=night, accuracy=[])
    up_house.up()
    run = up_house.click("nightly/nightly", suite="night")
    up_house.wait_for_log(run, "load chat c1: 5 of 20")
    click = up_house.click(
        "benchmark-target/benchmark-target", suite="reference", target="reference"
    )
    up_house.wait_for(click, "COMPLETED", timeout_s=300)
    assert up_house.state(run) == "RUNNING"
    up_house.wait_for(run, "COMPLETED", timeout_s=300)
    order = up_house.sql("SELECT target FROM servers ORDER BY started_at")
    assert [row["target"] for row in order].index("reference") in (1, 2)


def test_the_schedule_fires_and_runs_unattended(up_house: UpHouse) -> None:
    up_house.up()
    nightly = up_house.deployment("nightly/nightly")
    up_house.ask("PATCH", f"/deployments/{nightly['id']}", {"parameters": {"suite": "reference"}})
    [schedule] = nightly["schedules"]
    every_minute = {"active": True, "schedule": {"cron": "* * * * *", "timezone": "UTC"}}
    up_house.ask("PATCH", f"/deployments/{nightly['id']}/schedules/{schedule['id']}", every_minute)
    up_house.until(
        lambda: any(
            one["state"]["type"] == "COMPLETED" and "auto-scheduled" in one["tags"]
            for one in up_house.runs(deployment_id={"any_": [nightly["id"]]})
        ),
        240,
    )
    assert up_house.sql("SELECT DISTINCT trigger FROM runs") == [{"trigger": "schedule"}]


def test_no_password_opens_it_to_this_machine_says_so_and_to_no_page_of_another_origin(
    up_house: UpHouse,
) -> None:
    up_house.arguments = ("--no-auth", "--host", "0.0.0.0", "--allowed-host", "inside")  # noqa: S104
    up_house.up()
    assert "warning: no password is required. Whoever reaches 0.0.0.0" in up_house.said()
    assert "assword  " not in up_house.said()
    assert len(up_house.ask("POST", "/deployments/filter", {})) == 4

    def status(**headers: str) -> int:
        url = f"{up_house.url}/deployments/filter"
        return httpx.post(url, json={}, headers=headers, trust_env=False).status_code

    assert status(host="inside:4200") == status(host="10.0.0.7") == 200
    assert status(host="elsewhere.example") == 403
    assert status(origin="http://elsewhere.example") == 403
    again = up_house("run", "reference")
    assert again.returncode == 0, again.stderr
