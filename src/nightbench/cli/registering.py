"""What `nightbench up` puts into a Prefect server: pool, queues, deployments, automations.

Doing it again changes nothing that a person has set in the UI meanwhile: the nights' suite, time
and switch are read back from the server first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from nightbench.cli.prefect_rest import PrefectRest
from nightbench.errors import NightbenchError
from nightbench.home.private_files import open_private
from nightbench.night.scheduling import GRACE
from nightbench.resources import deployments_dir
from nightbench.secrets.child_env import FOR_PREFECT_CLIENTS, environment_for
from nightbench.suite import catalogue

NIGHTLY = "nightly"
Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class NightlySchedule:
    """How the nights are to be; None leaves it as it is."""

    suite: str | None = None  # naming one switches the schedule on
    cron: str | None = None
    timezone: str | None = None


@dataclass(frozen=True, slots=True)
class Present:
    """What the server has of the nights already."""

    parameters: Document
    schedules: tuple[Document, ...]  # as prefect.yaml writes them

    @property
    def suite(self) -> str:
        """The suite that the nights run."""
        return str(self.parameters.get("suite", ""))


def register(
    url: str, pool: str, nights: NightlySchedule, timezone: str, env: Mapping[str, str]
) -> None:
    """Put everything into the server at `url`. `timezone` is for a schedule that is new."""
    with PrefectRest(url, env) as api:
        document = _read("prefect-server.yaml")
        _put_pool(api, pool, document)
        present = present_nights(api.get(f"/deployments/name/{NIGHTLY}/{NIGHTLY}"))
        if present is not None and not still_offered(present, catalogue.suite_names(env)):
            print(
                f"the suite of the nights, {present.suite}, no longer exists: its schedule is off"
            )
            present = None
        wanted = as_wished(_read("prefect.yaml"), pool, nights, present, timezone)
        deploy(wanted, Path(env["PREFECT_HOME"]), env)
        _drop_late_nights(api, datetime.now(UTC))
        for automation in document["automations"]:
            _put_automation(api, automation)


def register_node(url: str, pool: str, env: Mapping[str, str]) -> None:
    """Put the pool of another node into the server at `url`, and a target's deployment for it."""
    with PrefectRest(url, env) as api:
        _put_pool(api, pool, _read("prefect-server.yaml"))
    deploy(for_node(_read("prefect.yaml"), pool), Path(env["PREFECT_HOME"]), env)


def as_wished(
    document: Document, pool: str, nights: NightlySchedule, present: Present | None, timezone: str
) -> Document:
    """The deployments as they are to be registered. Pure."""
    deployments = [_in_pool(one, pool) for one in document["deployments"]]
    return document | {
        "deployments": [
            _nightly(one, nights, present, timezone) if one["name"] == NIGHTLY else one
            for one in deployments
        ]
    }


def for_node(document: Document, pool: str) -> Document:
    """The deployment by which a night hands targets to a pool; it is named after the pool. Pure.

    A night sends its suite along, and that need not be among the suites of the node: here the form
    only proposes.
    """
    [target] = [one for one in document["deployments"] if one["name"] == "benchmark-target"]
    handed = {"name": pool, "enforce_parameter_schema": False}
    return document | {"deployments": [_in_pool(target, pool) | handed]}


def _in_pool(deployment: Document, pool: str) -> Document:
    return deployment | {"work_pool": deployment["work_pool"] | {"name": pool}}


def _nightly(
    deployment: Document, nights: NightlySchedule, present: Present | None, timezone: str
) -> Document:
    [shipped] = deployment["schedules"]
    schedules = (
        list(present.schedules) if present is not None else [shipped | {"timezone": timezone}]
    )
    if nights.cron is not None or nights.timezone is not None:
        first = schedules[0] if schedules and "cron" in schedules[0] else shipped
        schedules = [
            first
            | {
                "cron": nights.cron or first["cron"],
                "timezone": nights.timezone or first.get("timezone", timezone),
            }
        ]
    parameters = present.parameters if present is not None else deployment["parameters"]
    if nights.suite is not None:
        parameters = parameters | {"suite": nights.suite}
        schedules = [one | {"active": True} for one in schedules]
    return deployment | {"parameters": parameters, "schedules": schedules}


def still_offered(present: Present, suites: Sequence[str]) -> bool:
    """Whether the nights' suite can still be chosen; the server refuses one that cannot. Pure."""
    return not present.suite or present.suite in suites


def present_nights(deployment: Document | None) -> Present | None:
    """What the API says of the deployment of nights, None where there is none yet. Pure."""
    if deployment is None:
        return None
    return Present(
        parameters=deployment["parameters"],
        schedules=tuple(_as_written(one) for one in deployment["schedules"]),
    )


_SCHEDULE_KEYS = ("cron", "interval", "rrule", "timezone", "day_or", "anchor_date")
_SWITCHES = ("active", "parameters", "slug")


def _as_written(schedule: Document) -> Document:
    """A schedule of the API as prefect.yaml writes one."""
    kept = {key: schedule["schedule"].get(key) for key in _SCHEDULE_KEYS}
    kept |= {key: schedule.get(key) for key in _SWITCHES}
    return {key: value for key, value in kept.items() if value is not None}


def deploy(document: Document, prefect_home: Path, env: Mapping[str, str]) -> None:
    """Register the deployments with Prefect's own command, which reads the flows."""
    file = prefect_home / "deployments.yaml"
    with open_private(file, os.O_TRUNC) as deployments:
        deployments.write(yaml.safe_dump(document, sort_keys=False).encode())
    _prefect(env, "deploy", "--all", "--prefect-file", str(file))


def prefect_argv(*arguments: str) -> tuple[str, ...]:
    """Prefect's command line in our environment."""
    return (sys.executable, "-P", "-m", "prefect", "--no-prompt", *arguments)


def _prefect(env: Mapping[str, str], *arguments: str) -> None:
    given = environment_for(FOR_PREFECT_CLIENTS, env)
    answer = subprocess.run(
        prefect_argv(*arguments), env=given, capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        said = (answer.stdout + answer.stderr).strip()
        raise NightbenchError(f"prefect {' '.join(arguments[:2])} failed:\n{said}")


def _put_pool(api: PrefectRest, pool: str, document: Document) -> None:
    """Have the pool with its queues, and with nothing for a flow run to choose: a pool that is
    older, or that somebody has changed meanwhile, may let it."""
    wanted = document["pool"]
    if not api.create("/work_pools/", {"name": pool, **wanted}):
        there = api.get(f"/work_pools/{pool}")
        if there["type"] == wanted["type"] and changes_pool(there, wanted):
            print(f"the work pool {pool} was changed by hand: restored")
            api.patch(f"/work_pools/{pool}", {"base_job_template": wanted["base_job_template"]})
    for queue in document["queues"]:
        api.create(f"/work_pools/{pool}/queues", queue)


def changes_pool(there: Document, wanted: Document) -> bool:
    """Whether a pool's template is not the one it is to have. Pure."""
    return bool(there["base_job_template"] != wanted["base_job_template"])


def _drop_late_nights(api: PrefectRest, now: datetime) -> None:
    """Nights that were due while nobody was up do not begin now, one after the other, by day."""
    late = {
        "deployments": {"name": {"any_": [NIGHTLY]}},
        "flow_runs": {
            "state": {"type": {"any_": ["SCHEDULED"]}},
            "tags": {"all_": ["auto-scheduled"]},
            "expected_start_time": {"before_": (now - GRACE).isoformat()},
        },
    }
    missed = {"state": {"type": "CANCELLED", "message": "missed: nightbench was not up"}}
    for run in api.post("/flow_runs/filter", late):
        api.post(f"/flow_runs/{run['id']}/set_state", missed)


def _put_automation(api: PrefectRest, automation: Document) -> None:
    """Have the automation once, as it is here. Left alone where nothing changes: putting it again
    makes the server forget which runs it waits for."""
    named = {"automations": {"name": {"any_": [automation["name"]]}}}
    there = api.post("/automations/filter", named)
    if not there:
        api.post("/automations/", automation)
    elif not _says(there[0], automation):
        api.put(f"/automations/{there[0]['id']}", automation)


def _says(there: Any, wanted: Any) -> bool:
    """Whether what is there holds all that is wanted; the server adds members of its own."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(_says(there.get(k), v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(there, list)
            and len(there) == len(wanted)
            and all(any(_says(one, other) for one in there) for other in wanted)
        )
    return bool(there == wanted)


def _read(name: str) -> Document:
    document: Document = yaml.safe_load((deployments_dir() / name).read_text(encoding="utf-8"))
    return document
