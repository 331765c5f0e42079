"""What runs are called in the Prefect UI, and the tags by which they are found there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import get_client, runtime

from nightbench.night.run import Night


def by_suite() -> str:
    """The suite's name, whether it was given by name or as a file, and the day."""
    begun = runtime.flow_run.scheduled_start_time
    return f"{suite_of(runtime.flow_run.parameters)} {begun:%Y-%m-%d}"


def suite_of(parameters: Mapping[str, Any]) -> str:
    """The name of the suite that a flow run's parameters ask for."""
    return Path(str(parameters.get("suite", "nightly"))).stem


def tag_run(night: Night) -> None:
    """Let the run be found by its suite and by its targets."""
    if runtime.flow_run.id is None:
        return
    names = {night.suite.name, *(target.name for target in night.targets)}
    tags = [*(runtime.flow_run.tags or []), *sorted(names - set(runtime.flow_run.tags or []))]
    with get_client(sync_client=True) as client:
        client.update_flow_run(UUID(runtime.flow_run.id), tags=tags)
