"""What keeps a node healthy between nights."""

from __future__ import annotations

from prefect import flow

from tasks.forgetting import forget_old_runs
from tasks.housing import home_to_write
from tasks.keeping import land_spool, recover_spool
from tasks.noticing import mark_dead_runs, notice_missed_nights
from tasks.publishing import mirror_what_is_pending
from tasks.serving import reap_leftovers
from tasks.tidying import remove_what_is_old


@flow(name="maintenance", validate_parameters=True)
def maintenance() -> None:
    """End what dead runs left behind, land what they had measured, feed the dashboards, notice a
    night that did not begin, and remove or have Prefect forget what is kept for a time only."""
    home_to_write()
    reap_leftovers()
    recover_spool()
    land_spool()
    mark_dead_runs()
    notice_missed_nights()
    mirror_what_is_pending()
    remove_what_is_old()
    forget_old_runs()
