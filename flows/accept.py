"""A person's word on what has changed, by a form: it is all right, or it is not."""

from __future__ import annotations

from typing import Annotated, Literal

from prefect import flow
from pydantic import Field

from tasks.annotating import accept_change, refuse_change
from tasks.home import home_to_write

Word = Annotated[str, Field(min_length=1, max_length=200)]
Reason = Annotated[str, Field(min_length=1, max_length=2000)]


@flow(name="accept", flow_run_name="{decision} {what}", validate_parameters=True)
def accept(
    what: Word, reason: Reason, author: Word, decision: Literal["accept", "refuse"] = "accept"
) -> None:
    """Accept or refuse what has changed, as `nightbench accept` does.

    Args:
        what: An event or a target - the morning's message names them, and the view open_events.
        reason: Why, in a sentence. It is kept.
        author: Who says so. It is kept.
        decision: accept - this is how it is from now on, from the event's first night. refuse - the
            event stays open until it has recovered, and the reason is kept with it.
    """
    home_to_write()
    if decision == "accept":
        accept_change(what, reason, author)
    else:
        refuse_change(what, reason, author)
