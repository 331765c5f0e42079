"""What keeps a node healthy between nights."""

from __future__ import annotations

from prefect import flow

from tasks.home import home_to_write
from tasks.ingesting import land_spool, recover_spool
from tasks.missed_nights import mark_dead_runs, report_missed_nights
from tasks.prefect_retention import forget_old_runs
from tasks.publishing import mirror_what_is_pending
from tasks.retention import remove_what_is_old
from tasks.serving import reap_leftovers


@flow(name="maintenance", validate_parameters=True)
def maintenance() -> None:
    """End what dead runs left behind, land what they had measured, feed the dashboards, notice a
    night that did not begin, and remove or have Prefect forget what is kept for a time only."""
    home_to_write()
    reap_leftovers()
    recover_spool()
    land_spool()
    mark_dead_runs()
    report_missed_nights()
    mirror_what_is_pending()
    remove_what_is_old()
    forget_old_runs()
