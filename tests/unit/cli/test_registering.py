"""What `nightbench up` registers: a person's settings first, then what is asked, then ours."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
from typing import Any
from unittest.mock import AsyncMock

import yaml
from prefect.utilities.templating import find_placeholders
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

from nightbench.cli.registering import (
    NightlySchedule,
    Present,
    as_wished,
    changes_pool,
    for_node,
    present_nights,
    still_offered,
)
from nightbench.resources import deployments_dir

DOCUMENT: dict[str, Any] = {
    "name": "nightbench",
    "deployments": [
        {
            "name": "nightly",
            "parameters": {"suite": "starter"},
            "schedules": [{"cron": "0 2 * * *", "timezone": "UTC", "active": False}],
            "work_pool": {"name": "cpu", "work_queue_name": "nights"},
        },
        {"name": "benchmark-target", "work_pool": {"name": "cpu", "work_queue_name": "now"}},
    ],
}


def nightly(nights: NightlySchedule, present: Present | None = None) -> dict[str, Any]:
    document = as_wished(DOCUMENT, "gpu4", nights, present, "Europe/Berlin")
    deployment: dict[str, Any] = document["deployments"][0]
    return deployment


def test_a_new_schedule_is_at_two_oclock_here_and_off() -> None:
    assert nightly(NightlySchedule())["schedules"] == [
        {"cron": "0 2 * * *", "timezone": "Europe/Berlin", "active": False}
    ]


def test_every_deployment_goes_to_this_machines_pool_and_keeps_its_queue() -> None:
    document = as_wished(DOCUMENT, "gpu4", NightlySchedule(), None, "UTC")
    assert [d["work_pool"] for d in document["deployments"]] == [
        {"name": "gpu4", "work_queue_name": "nights"},
        {"name": "gpu4", "work_queue_name": "now"},
    ]
    assert DOCUMENT["deployments"][0]["work_pool"]["name"] == "cpu"


def test_naming_a_suite_switches_the_nights_on() -> None:
    wished = nightly(NightlySchedule(suite="glm", cron="30 3 * * *", timezone="Asia/Shanghai"))
    assert wished["parameters"] == {"suite": "glm"}
    assert wished["schedules"] == [
        {"cron": "30 3 * * *", "timezone": "Asia/Shanghai", "active": True}
    ]


def test_what_is_there_stays_and_only_what_is_asked_changes() -> None:
    there = Present(
        {"suite": "mine", "targets": ["a"]},
        ({"cron": "5 4 * * 1-5", "timezone": "UTC", "active": True},),
    )
    untouched = nightly(NightlySchedule(), there)
    assert untouched["parameters"] == there.parameters
    assert untouched["schedules"] == list(there.schedules)
    moved = nightly(NightlySchedule(timezone="Asia/Tokyo"), there)["schedules"]
    assert moved == [{"cron": "5 4 * * 1-5", "timezone": "Asia/Tokyo", "active": True}]


def test_a_schedule_that_a_person_removed_stays_removed() -> None:
    assert nightly(NightlySchedule(), Present({"suite": "mine"}, ()))["schedules"] == []


def test_schedules_of_the_api_are_read_back_as_they_are_written() -> None:
    deployment = {
        "parameters": {"suite": "mine"},
        "schedules": [
            {
                "id": "1",
                "active": True,
                "parameters": {},
                "slug": None,
                "schedule": {"cron": "0 1 * * *", "timezone": "UTC", "day_or": True},
            },
            {"id": "2", "active": False, "schedule": {"interval": 3600.0, "timezone": "UTC"}},
        ],
    }
    assert present_nights(deployment) == Present(
        {"suite": "mine"},
        (
            {
                "cron": "0 1 * * *",
                "timezone": "UTC",
                "day_or": True,
                "active": True,
                "parameters": {},
            },
            {"interval": 3600.0, "timezone": "UTC", "active": False},
        ),
    )
    assert present_nights(None) is None


def test_another_node_registers_a_target_under_the_name_of_its_pool() -> None:
    [deployment] = for_node(DOCUMENT, "gpu8")["deployments"]
    assert deployment["name"] == "gpu8"
    assert deployment["work_pool"] == {"name": "gpu8", "work_queue_name": "now"}
    # A suite that is sent along need not be one of that node's.
    assert deployment["enforce_parameter_schema"] is False
    assert all("enforce_parameter_schema" not in one for one in DOCUMENT["deployments"])


def test_nights_of_a_suite_that_is_gone_are_not_registered_again() -> None:
    assert still_offered(Present({"suite": "mine"}, ()), ["mine", "starter"])
    assert not still_offered(Present({"suite": "mine"}, ()), ["starter"])
    assert still_offered(Present({}, ()), ["starter"])


def shipped_pool() -> dict[str, Any]:
    text = (deployments_dir() / "prefect-server.yaml").read_text(encoding="utf-8")
    pool: dict[str, Any] = yaml.safe_load(text)["pool"]
    return pool


def test_a_flow_run_has_nothing_to_choose_of_its_process() -> None:
    template = shipped_pool()["base_job_template"]
    assert template["variables"]["properties"] == {}
    assert template["variables"]["additionalProperties"] is False
    assert not list(find_placeholders(template["job_configuration"]))


CHOSEN = {"command": "touch ran", "env": {"PATH": "/tmp"}, "working_dir": "/tmp", "image": "mine"}


def test_what_a_request_chooses_all_the_same_does_not_reach_the_process() -> None:
    shipped = shipped_pool()["base_job_template"]
    configuration = asyncio.run(
        ProcessJobConfiguration.from_template_and_values(
            shipped,
            CHOSEN | {"env.PATH": "/tmp", "stream_output": False, "name": "mine"},
            client=AsyncMock(),
        )
    )
    assert configuration == ProcessJobConfiguration(**shipped["job_configuration"])


def test_a_flow_run_is_started_by_a_command_so_that_its_environment_is_written_nowhere() -> None:
    """Without one, Prefect's worker puts the environment into a file of the temporary folder."""
    command = shlex.split(shipped_pool()["base_job_template"]["job_configuration"]["command"])
    said = subprocess.run(
        [*command, "--help"],
        env={"NIGHTBENCH_PYTHON": "/bin/echo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "-P -m prefect.engine\n"


def test_a_pool_that_lets_runs_choose_is_set_back_and_ours_is_left_alone() -> None:
    wanted = shipped_pool()
    older = {"base_job_template": ProcessWorker.get_default_base_job_template()}
    assert changes_pool(older, wanted)
    assert not changes_pool(wanted | {"name": "cpu"}, wanted)
