"""What nobody sees at night: a schedule that did not fire, a run whose process is gone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger
from prefect.states import Crashed

from nightbench.alerts.message import trouble_message
from nightbench.errors import HistoryError
from nightbench.history.clock import utc_now
from nightbench.history.reading import open_history
from nightbench.history.run_results import scheduled_nights
from nightbench.home.paths import Home
from nightbench.home.private_files import make_private
from nightbench.night.scheduling import LOOK_BACK, Schedule, look, read_watched, write_watched
from tasks.alerting import send
from tasks.redacting import step

NIGHTLY = "nightly"
# The automation of prefect-server.yaml is quicker; this is for where it has been switched off, and
# for a run that waits for a process which was never started.
SILENCE = timedelta(minutes=10)


@step(name="report missed nights", task_run_name="report missed nights")
def report_missed_nights() -> list[datetime]:
    """The nights that were due and did not begin; told once, in the log and as an alert."""
    home, now = Home.from_env(), utc_now()
    file = home.prefect / "schedules-seen.json"
    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(f"{NIGHTLY}/{NIGHTLY}")
        except ObjectNotFound:
            return []
        began = _began(home, now) + _begun_of_prefect(client)
    active = [
        Schedule(one.schedule.cron, one.schedule.timezone or "UTC")
        for one in deployment.schedules
        if one.active and not deployment.paused and isinstance(one.schedule, CronSchedule)
    ]
    watched, missed = look(read_watched(file), active, began, now)
    for due in missed:
        line = f"the night of {due:%Y-%m-%d %H:%M} UTC was due and did not begin"
        get_run_logger().error(line)
        suite = str(deployment.parameters.get("suite", NIGHTLY))
        send(trouble_message(suite, line), get_run_logger())
    make_private(home.prefect)
    write_watched(file, watched)
    return missed


def _began(home: Home, now: datetime) -> list[datetime]:
    try:
        with open_history(home) as history:
            return scheduled_nights(history, now - LOOK_BACK)
    except HistoryError:
        return []


def _begun_of_prefect(client: SyncPrefectClient) -> list[datetime]:
    """Nights that Prefect has seen begin: one that is still running has not landed yet."""
    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[NIGHTLY])),
        flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=["auto-scheduled"])),
        limit=50,
    )
    return [run.start_time.astimezone(UTC) for run in runs if run.start_time is not None]


@step(name="mark dead runs", task_run_name="mark dead runs")
def mark_dead_runs() -> list[UUID]:
    """Mark flow runs as crashed that have been silent: one that seems to run keeps its place in a
    queue, and the next night waits behind it."""
    wanted = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING])
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=wanted))
        )
        dead = [run for run in runs if _is_silent(client, run, utc_now())]
        for run in dead:
            message = f"no heartbeat from its process for {SILENCE.total_seconds() / 60:g} min"
            client.set_flow_run_state(run.id, Crashed(message=message))
            get_run_logger().warning("%s (%s) crashed: %s", run.name, run.id, message)
    return [run.id for run in dead]


def _is_silent(client: SyncPrefectClient, run: FlowRun, now: datetime) -> bool:
    changed = run.state.timestamp if run.state else run.expected_start_time
    if changed is None or now - changed < SILENCE:
        return False
    heartbeats = {
        "occurred": {"since": (now - SILENCE).isoformat(), "until": now.isoformat()},
        "event": {"name": ["prefect.flow-run.heartbeat"]},
        "resource": {"id": [f"prefect.flow-run.{run.id}"]},
    }
    found = client.request("POST", "/events/filter", json={"filter": heartbeats, "limit": 1})
    return not found.json()["events"]
