"""What runs are called in the Prefect UI."""

from __future__ import annotations

from pathlib import Path

from prefect import runtime


def by_suite() -> str:
    """The suite's name, whether it was given by name or as a file."""
    return Path(runtime.flow_run.parameters["suite"]).stem
