"""The SwanLab mirror: the history, drawn. Can be rebuilt from it, and never holds up a run.

SwanLab prints, reaches for the network and may hang, so it runs in a child process
(`python -m nightbench.dashboards.swanlab_mirror`) with its output in a log file and a deadline.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nightbench.dashboards import swanlab_store
from nightbench.dashboards.mirror_ledger import MirrorLedger
from nightbench.dashboards.swanlab_child import run_child
from nightbench.dashboards.swanlab_places import (
    LOCK_S,
    Mode,
    ledger_path,
    lock_path,
    mode_of,
    store_of,
)
from nightbench.errors import DashboardError, HistoryError
from nightbench.history.locks import held
from nightbench.home.kept_runs import KEPT_RUNS, newest_runs
from nightbench.home.paths import Home
from nightbench.home.private_files import make_private
from nightbench.suite.models import SwanlabSettings

if TYPE_CHECKING:
    from nightbench.dashboards.curves import Experiment, Record

_SETTLE_S = 15.0
_SERVICE_DOWN = "login to its cloud failed (a wrong or missing key, or no connection)"
_QUIET_PROBES = dict.fromkeys(
    ("hardware", "runtime", "requirements", "conda", "git", "swanlab", "monitor"), False
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _MirrorOrder:
    """What the child is to do. `action`: mirror these runs, or only settle what was interrupted."""

    action: Literal["mirror", "settle"]
    home: str
    run_ids: tuple[str, ...]
    project: str
    level_experiment: str | None
    mode: Mode


def mirror_run(
    home: Home,
    run_id: str,
    settings: SwanlabSettings,
    *,
    mode: Mode | None = None,
    timeout_s: float = 120.0,
) -> None:
    """Show a landed run on SwanLab: an experiment per target, the series over nights renewed.

    Raises:
        DashboardError: SwanLab failed or took too long; callers report it and go on.
    """
    mirror_runs(home, [run_id], settings, mode=mode, timeout_s=timeout_s)


def mirror_runs(
    home: Home,
    run_ids: Sequence[str],
    settings: SwanlabSettings,
    *,
    mode: Mode | None = None,
    timeout_s: float = 120.0,
) -> None:
    """`mirror_run` for several runs of one project, in one child process."""
    chosen = mode or mode_of(os.environ)
    if chosen != "disabled" and run_ids:
        _mirror_in_child(home, run_ids, settings, chosen, timeout_s)


def _mirror_in_child(
    home: Home, run_ids: Sequence[str], settings: SwanlabSettings, mode: Mode, timeout_s: float
) -> None:
    order = _MirrorOrder(
        action="mirror",
        home=str(home.root),
        run_ids=tuple(run_ids),
        project=settings.project,
        level_experiment=settings.level_experiment,
        mode=mode,
    )
    try:
        _carry_out(home, order, timeout_s)
    except BaseException:
        with suppress(DashboardError):
            settle(home, settings.project)
        raise


def settle(home: Home, project: str, *, timeout_s: float = _SETTLE_S) -> None:
    """Take away what an interrupted mirror left "running"; the next mirror makes it again.

    Raises:
        DashboardError: SwanLab's local store could not be opened.
    """
    if (store_of(home, project) / swanlab_store.DATABASE).exists():
        order = _MirrorOrder(
            action="settle",
            home=str(home.root),
            run_ids=(),
            project=project,
            level_experiment=None,
            mode="local",
        )
        _carry_out(home, order, timeout_s)


def resync(
    home: Home,
    *,
    mode: Mode | None = None,
    limit: int = KEPT_RUNS,
    timeout_s: float = 3600.0,
) -> int:
    """Make the mirror again from the history; returns the number of runs shown.

    The newest `limit` runs of each project get experiments of their own (a second or two each); the
    series over nights have every night.

    Raises:
        HistoryError: there is no history.
        DashboardError: SwanLab failed or took too long.
    """
    chosen = mode or mode_of(os.environ)
    MirrorLedger.read(ledger_path(home)).forget(chosen)
    if chosen == "local":
        shutil.rmtree(home.dashboards / "swanlab", ignore_errors=True)
    return mirror_pending(home, mode=chosen, limit=limit, timeout_s=timeout_s)


def mirror_pending(
    home: Home, *, mode: Mode | None = None, timeout_s: float = 600.0, limit: int = KEPT_RUNS
) -> int:
    """Show the runs that are landed and not shown yet (an outage, a killed mirror), oldest first,
    of those that are kept: the newest `limit` of each project.

    Raises:
        HistoryError: there is no history.
        DashboardError: SwanLab failed or took too long; the rest waits for the next time.
    """
    from nightbench.dashboards.curves import records
    from nightbench.history.reading import open_history
    from nightbench.history.sql_files import statement

    chosen = mode or mode_of(os.environ)
    ledger = MirrorLedger.read(ledger_path(home))
    with open_history(home) as history:
        runs = records(history.sql(statement("mirror_runs")))
    kept = _kept(runs, ledger, limit)
    missing = [run for run in kept if not ledger.has(chosen, str(run["run_id"]))]
    for suite in dict.fromkeys(str(run["suite"]) for run in missing):
        of_suite = [str(run["run_id"]) for run in missing if run["suite"] == suite]
        settings = ledger.settings_of(suite)
        mirror_runs(home, of_suite, settings, mode=chosen, timeout_s=timeout_s)
    for project in MirrorLedger.read(ledger_path(home)).projects_behind(chosen):
        _mirror_in_child(home, (), SwanlabSettings(project=project), chosen, timeout_s)
    return len(missing)


def _kept(runs: Sequence[Record], ledger: MirrorLedger, limit: int) -> list[Record]:
    """Those of the runs that are among the newest of their project, in the same order."""
    of_project: dict[str, list[str]] = {}
    for run in runs:
        project = ledger.settings_of(str(run["suite"])).project
        of_project.setdefault(project, []).append(str(run["run_id"]))
    now = datetime.now(UTC)
    kept = {one for ids in of_project.values() for one in newest_runs(ids, limit, now)}
    return [run for run in runs if run["run_id"] in kept]


def _carry_out(home: Home, order: _MirrorOrder, timeout_s: float) -> None:
    argv = [sys.executable, "-P", "-m", "nightbench.dashboards.swanlab_mirror"]
    run_child(home, argv, json.dumps(asdict(order)), timeout_s)


# ---- the child ---------------------------------------------------------------------------------


def main() -> int:
    """The child process: an order on stdin, swanlab's chatter on stdout, an exit code."""
    raw = json.loads(sys.stdin.read())
    order = _MirrorOrder(**raw | {"run_ids": tuple(raw["run_ids"])})
    home = Home(Path(order.home))
    store = store_of(home, order.project)
    make_private(store)
    try:
        with held(lock_path(home), deadline_s=LOCK_S), _local_store(order, store):
            if order.action == "mirror":
                _mirror(home, order, store)
    except (DashboardError, HistoryError) as error:
        print(error.message, file=sys.stderr)  # noqa: T201  (the log file of the parent)
        return 1
    return 0


def _mirror(home: Home, order: _MirrorOrder, store: Path) -> None:
    from nightbench.dashboards.curves import experiments_of_run, experiments_over_nights
    from nightbench.history.reading import open_history

    ledger = MirrorLedger.read(ledger_path(home))
    with open_history(home) as history:
        for run_id in order.run_ids:
            experiments = experiments_of_run(history, run_id, level_template=order.level_experiment)
            if not experiments:
                raise DashboardError(f"run {run_id} is not in the history")
            ledger.drop(order.mode, run_id)
            for experiment in experiments:
                _draw(experiment, order, store)
            suite = dict(experiments[0].config).get("suite")
            ledger.remember(str(suite or ""), _settings(order))
            targets = sorted({experiment.group for experiment in experiments})
            ledger.add(order.mode, run_id, project=order.project, targets=targets)
        for target in ledger.series_behind(order.mode, order.project):
            for experiment in experiments_over_nights(history, [target]):
                _draw(experiment, order, store)
            ledger.caught_up(order.mode, order.project, target)
    if order.mode == "local":
        swanlab_store.refuse_unfinished(store)


def _settings(order: _MirrorOrder) -> SwanlabSettings:
    return SwanlabSettings(project=order.project, level_experiment=order.level_experiment)


@contextmanager
def _local_store(order: _MirrorOrder, store: Path) -> Iterator[None]:
    """SwanLab's local database, without experiments that a killed mirror left running."""
    if order.mode == "local":
        os.environ["SWANLAB_LOG_DIR"] = str(store)  # where swanboard looks for experiment folders
        swanlab_store.remove_running(store)
    yield


def _draw(experiment: Experiment, order: _MirrorOrder, store: Path) -> None:
    """One experiment, in the place of the one drawn from the same rows before."""
    import swanlab

    if order.mode == "local":
        swanlab_store.remove_key(store, experiment.key)
    quiet = swanlab.Settings(
        interactive=False, probe=_QUIET_PROBES, terminal={"proxy_type": "none"}
    )
    try:
        swanlab.init(
            mode=order.mode,
            log_dir=str(store),
            project=order.project,
            name=experiment.name[:100],
            description=experiment.description[:255],
            group=experiment.group,
            id=experiment.key,
            resume="allow" if order.mode == "online" else None,
            config=dict(experiment.config),
            settings=quiet,
        )
    except Exception as error:
        if order.mode == "online" and not isinstance(error, OSError):
            raise DashboardError(
                f"{_SERVICE_DOWN}. Set SWANLAB_API_KEY (and SWANLAB_API_HOST for a server of "
                f"your own),"
                f" or SWANLAB_MODE=local. The error: {error}"
            ) from error
        raise
    state = "crashed"
    try:
        for metric, step, value in _in_order(experiment):
            swanlab.log({metric: value}, step=step)
        state = "success"
    finally:
        swanlab.finish(state=state, error=None if state == "success" else "interrupted")


def _in_order(experiment: Experiment) -> list[tuple[str, int, float]]:
    """Curve by curve as the experiment lists them: charts stand in the order of logging."""
    place = {
        metric: number
        for number, metric in enumerate(dict.fromkeys(p.metric for p in experiment.points))
    }
    ordered = sorted(experiment.points, key=lambda point: (place[point.metric], point.step))
    return [(point.metric, point.step, point.value) for point in ordered]


if __name__ == "__main__":
    sys.exit(main())
