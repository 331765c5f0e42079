"""SwanLab's local store of a project: its database `runs.swanlab` and a folder per experiment.

Not by SwanLab's own `Experiment.purely_delete`: it lowers the counter that new experiments are
sorted by, and the next one would collide with a place that is taken. Rows go first: a folder
without a row is found again, a row without a folder is an experiment that cannot be opened.

Run as a child process (`python -m nightbench.dashboards.swanlab_store`), it removes folders.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nightbench.dashboards.mirror_ledger import MirrorLedger
from nightbench.dashboards.swanlab_places import LOCK_S, ledger_path, lock_path, store_of
from nightbench.errors import DashboardError, HistoryError
from nightbench.history.locks import held
from nightbench.home.paths import Home

DATABASE = "runs.swanlab"
_RUNNING = 0


@dataclass(frozen=True, slots=True)
class StoreRemoval:
    """What the child is to remove: a project's folders, which were all there was of these runs."""

    home: str
    project: str
    folders: tuple[str, ...]
    run_ids: tuple[str, ...]

    def to_json(self) -> str:
        """As the child reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> StoreRemoval:
        """As the parent wrote it."""
        raw = json.loads(text)
        return cls(**raw | {name: tuple(raw[name]) for name in ("folders", "run_ids")})


def remove_running(store: Path) -> None:
    """Experiments that a killed mirror left "running". Makes the database where there is none."""
    _remove(store, [one for one in _experiments(store) if one.status == _RUNNING])


def remove_key(store: Path, key: str) -> None:
    """The experiment that was drawn from the same rows before."""
    _remove(store, [one for one in _experiments(store) if str(one.run_id).endswith(f"-{key}")])


def remove_folders(store: Path, folders: Collection[str]) -> None:
    """Experiments by their folders, and folders that no experiment is listed for."""
    if (store / DATABASE).exists():
        experiments = [one for one in _experiments(store) if one.run_id in folders]
        curves = {str(tag.name) for one in experiments for tag in one.tags}
        _remove(store, experiments)
        _remove_empty_charts(curves)
    for folder in folders:
        shutil.rmtree(store / folder, ignore_errors=True)


def refuse_unfinished(store: Path) -> None:
    """SwanLab swallows its own errors (a full disk, a locked database); its state does not."""
    unfinished = [str(one.name) for one in _experiments(store) if one.status == _RUNNING]
    if unfinished:
        raise DashboardError(f"SwanLab did not finish {', '.join(unfinished)} in {store}")


def _experiments(store: Path) -> list[Any]:
    from swanboard.db import connect  # type: ignore[import-untyped]
    from swanboard.db.models import Experiment  # type: ignore[import-untyped]

    connect(path=str(store), autocreate=True)
    return list(Experiment.select())


def _remove(store: Path, experiments: Iterable[Any]) -> None:
    for found in experiments:
        found.delete_instance()  # with its tags, charts and their places
        shutil.rmtree(store / str(found.run_id), ignore_errors=True)


def _remove_empty_charts(names: set[str]) -> None:
    """Charts that compared experiments, and have none left, as SwanLab's page does it."""
    from swanboard.db.models import Chart

    for chart in Chart.select().where(Chart.project_id.is_null(False), Chart.name.in_(names)):
        if chart.sources.count() == 0:
            chart.delete_instance()


def main() -> int:
    """The child process: a removal on stdin, an exit code."""
    order = StoreRemoval.from_json(sys.stdin.read())
    home = Home(Path(order.home))
    try:
        with held(lock_path(home), deadline_s=LOCK_S):
            remove_folders(store_of(home, order.project), order.folders)
            MirrorLedger.read(ledger_path(home)).forget_runs(order.run_ids)
    except HistoryError as error:
        print(error.message, file=sys.stderr)  # noqa: T201  (the log file of the parent)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
