"""Which of SwanLab's folders are kept: those of a project's newest runs, and of each series the
last one drawn. Decided from their names and configs; a child process removes the others."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from nightbench.dashboards.swanlab_child import run_child
from nightbench.dashboards.swanlab_places import stores_in
from nightbench.dashboards.swanlab_store import StoreRemoval
from nightbench.home.kept_runs import newest_runs
from nightbench.home.paths import Home

_FOLDER = re.compile(r"^run-\d{8}_\d{6}-(?P<key>\w+)$")


@dataclass(frozen=True, slots=True)
class DrawnExperiment:
    """A folder that SwanLab made for an experiment. `run_id` None: a series over nights, or a
    folder that does not say."""

    folder: str
    key: str  # the same whenever the experiment is drawn again
    run_id: str | None


def remove_old(home: Home, keep_runs: int, *, timeout_s: float = 120.0) -> tuple[str, ...]:
    """Remove what SwanLab keeps on this machine of all but a project's newest runs, and what it has
    drawn again since. Returns the folders. Nothing is lost: the mirror is drawn from the history.

    Raises:
        DashboardError: SwanLab failed or took too long; the rest goes the next time.
    """
    removed: tuple[str, ...] = ()
    argv = [sys.executable, "-P", "-m", "nightbench.dashboards.swanlab_store"]
    for store in stores_in(home):
        drawn = drawn_in(store)
        folders = superfluous(drawn, keep_runs, datetime.now(UTC))
        if folders:
            stay = {one.run_id for one in drawn if one.folder not in folders}
            gone = {one.run_id for one in drawn if one.run_id} - stay
            order = StoreRemoval(str(home.root), store.name, folders, tuple(sorted(gone)))
            run_child(home, argv, order.to_json(), timeout_s)
            removed += folders
    return removed


def drawn_in(store: Path) -> list[DrawnExperiment]:
    """What is in a project's store, the oldest first. What is named otherwise is a person's."""
    if not store.is_dir():
        return []
    found = ((path, _FOLDER.match(path.name)) for path in sorted(store.iterdir()))
    return [
        DrawnExperiment(path.name, match["key"], _run_of(path)) for path, match in found if match
    ]


def superfluous(drawn: Sequence[DrawnExperiment], keep_runs: int, now: datetime) -> tuple[str, ...]:
    """The folders that go: of runs that are not among the newest, and what was drawn again since
    (offline, SwanLab begins a folder each time). Pure."""
    kept = newest_runs((one.run_id for one in drawn if one.run_id), keep_runs, now)
    last = {one.key: one.folder for one in sorted(drawn, key=lambda one: one.folder)}
    return tuple(
        one.folder
        for one in drawn
        if (one.run_id and one.run_id not in kept) or last[one.key] != one.folder
    )


def _run_of(folder: Path) -> str | None:
    try:
        config = yaml.safe_load((folder / "files" / "config.yaml").read_text(encoding="utf-8"))
        return str(config["run_id"]["value"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None
