"""The first task of a run: what is to be benchmarked, and under which id."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import date, datetime

from prefect import get_client, runtime
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger

from nightbench.errors import BadInput
from nightbench.history.clock import utc_now
from nightbench.night import budget, resuming
from nightbench.night import run as nights
from nightbench.night.planning import refuse_what_cannot_run
from nightbench.night.run import Night
from nightbench.night.scheduling import known_timezone, machine_timezone
from nightbench.suite.file import SuiteFile, find_suite, place_of_suite, read_suite
from nightbench.suite.travelling import received
from tasks.home import home_to_write
from tasks.redacting import step
from tasks.run_naming import tag_run

NIGHTLY = "nightly/nightly"  # the deployment that has the schedule

# The runs that began in this process, whose parts take them over as they are: a file that is edited
# while a run goes on changes the next one, not what is left of this one.
_begun: dict[str, Night] = {}
_read: ContextVar[SuiteFile | None] = ContextVar("a suite that was read", default=None)


@contextmanager
def as_it_was_read(suite_file: SuiteFile) -> Iterator[None]:
    """Within this context a run of that file begins with what was read of it: what a command has
    checked is what is measured, and what its gates are of."""
    token = _read.set(suite_file)
    try:
        yield
    finally:
        _read.reset(token)


@step(name="begin", task_run_name="begin")
def begin_night(
    suite: str,
    targets: Sequence[str] | None,
    *,
    run_id: str | None = None,
    resume: str | None = None,
    ends_at: str = "",
    night_of: str = "",
    suite_digest: str = "",
    suite_text: str = "",
) -> Night:
    """Read the suite, choose its targets and name the run; a run of this process is taken over as
    it began. Raises SuiteError or DataError."""
    if run_id in _begun:
        part = part_of(_begun[run_id], targets, utc_now())
        tag_run(part)
        return part
    home = home_to_write()
    suite_file = suite_of_run(suite, run_id, suite_digest, suite_text)
    if resume is not None:
        unfinished = resuming.find_unfinished(home, resume)
        unfinished.refuse_another(suite_file)
        targets, resume = targets or list(unfinished.targets), unfinished.run_id
    now, timezone = utc_now(), zone_of_nights()
    night = Night(
        run_id=run_id or nights.new_run_id(suite_file.suite.name, now, os.urandom(3)),
        started_at=now,
        suite_file=suite_file,
        targets=nights.choose_targets(suite_file, targets),
        trigger="cli" if not runtime.deployment.id else _trigger(),
        resumes=resume,
        ends_at=(
            datetime.fromisoformat(ends_at)
            if ends_at
            else budget.end_of(
                now, suite_file.suite.time_budget, suite_file.suite.must_end_by, timezone
            )
        ),
        timezone=timezone,
        dated=date.fromisoformat(night_of) if night_of else None,
    )
    _begun[night.run_id] = night
    for target in night.targets:
        refuse_what_cannot_run(night.suite, target, night.base_dir)
    tag_run(night)
    get_run_logger().info("run %s: %s", night.run_id, ", ".join(t.name for t in night.targets))
    return night


def part_of(night: Night, targets: Sequence[str] | None, now: datetime) -> Night:
    """Some targets of a night that has begun, begun now: of the same suite, date and end."""
    chosen = nights.choose_targets(night.suite_file, targets)
    return replace(night, targets=chosen, started_at=now, dated=night.date)


def suite_of_run(suite: str, run_id: str | None, digest: str, text: str = "") -> SuiteFile:
    """The suite as the run began with it elsewhere: the `text` that the run's node sent, else the
    file of that name here. Both must be of the `digest` that the run began with, if that is known.

    Raises BadInput where they are not: another node has another file, or it was edited since.
    """
    if text:
        return received(text, digest, place_of_suite(suite))
    path, read = find_suite(suite), _read.get()
    found = read if read is not None and read.path == path else read_suite(path)
    if digest and found.digest != digest:
        raise BadInput(
            f"{found.path} is not what {run_id} began with: that suite was {digest}, this file is "
            f"{found.digest}",
            hint="Give every node the same file; what is edited meanwhile is for the next night. A "
            "suite that names the variables of its secrets (${NAME}, pass_env) is sent along.",
        )
    return found


def zone_of_nights() -> str:
    """The time zone of the schedule of nights; where there is none, what NIGHTBENCH_TIMEZONE says,
    else this machine's. Raises BadInput for one that does not exist."""
    with get_client(sync_client=True) as client:
        try:
            schedules = client.read_deployment_by_name(NIGHTLY).schedules
        except ObjectNotFound:
            schedules = []
    zones = [getattr(one.schedule, "timezone", None) for one in schedules]
    named = next(filter(None, zones), None) or os.environ.get("NIGHTBENCH_TIMEZONE")
    return known_timezone(named) if named else machine_timezone()


def _trigger() -> str:
    return "schedule" if "auto-scheduled" in (runtime.flow_run.tags or []) else "ui"
