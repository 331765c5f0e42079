"""Where a person looks further than a page or a message goes."""

from __future__ import annotations

from collections.abc import Mapping

from nightbench.dashboards.run_page import Pointer
from nightbench.suite.models import SwanlabSettings

# Where `nightbench watch`, or a proxy before it, is reached by whoever reads the pages.
SWANLAB_URL = "NIGHTBENCH_SWANLAB_URL"


def pointers(
    run_id: str, swanlab: SwanlabSettings, environ: Mapping[str, str]
) -> tuple[Pointer, ...]:
    """The run in a terminal, in SQL and on SwanLab."""
    return (
        Pointer("This run in a terminal", typed=f"nightbench show {run_id}"),
        Pointer("The questions it got wrong", typed=f"nightbench show {run_id} --samples wrong"),
        _swanlab(swanlab, environ),
    )


def _swanlab(settings: SwanlabSettings, environ: Mapping[str, str]) -> Pointer:
    if url := environ.get(SWANLAB_URL):
        return Pointer("Its curves on SwanLab", url=url)
    return Pointer("Its curves on SwanLab", typed=f"nightbench watch --project {settings.project}")
