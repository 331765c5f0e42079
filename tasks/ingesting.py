"""From the spool into the history: what was sealed is ingested; what dead runs left is sealed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.logging import get_run_logger

from nightbench.history.damage import Damaged
from nightbench.history.ingest import LandingReport, land
from nightbench.history.spool.writer import recover
from nightbench.home.paths import Home
from tasks.redacting import step
from tasks.reporting import Reporter


@step(name="land", task_run_name="land")
def land_spool() -> LandingReport:
    """Take every sealed folder into the history and publish the read copy."""
    report = land(Home.from_env(), on_progress=Reporter())
    get_run_logger().info(
        "ingested %s folders, %s rows; %s had been ingested before",
        len(report.landed),
        report.row_count,
        len(report.already),
    )
    for damaged in report.damaged:
        get_run_logger().warning("not ingested: %s", damaged.reason)
    for finding in report.findings:
        get_run_logger().warning("check %s: %s", finding.check, finding.detail)
    return report


@contextmanager
def landed_afterwards(alone: bool) -> Iterator[None]:
    """What was sealed is landed when the context is left.

    A cancelled part of a night leaves that to its night, which is to be sealed within seconds.
    """
    try:
        yield
    except Exception:
        land_spool()
        raise
    except BaseException:
        if alone:
            land_spool()
        raise
    land_spool()


@step(name="recover spool", task_run_name="recover spool")
def recover_spool() -> list[Path]:
    """Seal what dead runs left open, so that it can land. A folder that cannot be is named."""
    damaged: list[Damaged] = []
    folders = recover(Home.from_env().spool, on_damaged=damaged.append)
    for one in damaged:
        get_run_logger().warning("not sealed: %s", one.reason)
    for folder in folders:
        get_run_logger().warning("recovered the spooled rows of a dead run: %s", folder)
    return folders
