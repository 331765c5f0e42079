"""The SwanLab mirror: the history, drawn. Can be rebuilt from it, and never holds up a run.

SwanLab prints, reaches for the network and may hang, so it runs in a child process
(`python -m nightbench.dashboards.swanlab_mirror`) with its output in a log file and a deadline.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nightbench.dashboards.ledger import MirrorLedger
from nightbench.errors import DashboardError, HistoryError
from nightbench.history.locks import held
from nightbench.home import Home
from nightbench.suite import SwanlabSettings

if TYPE_CHECKING:
    from nightbench.dashboards.curves import Experiment

Mode = Literal["local", "offline", "online", "disabled"]
_RUNNING, _LOCK_S, _SETTLE_S, _GRACE_S = 0, 60.0, 15.0, 5.0
RESYNC_RUNS = 60
_QUIET_PROBES = dict.fromkeys(
    ("hardware", "runtime", "requirements", "conda", "git", "swanlab", "monitor"), False
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
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
    if chosen == "disabled" or not run_ids:
        return
    order = _Order(
        action="mirror",
        home=str(home.root),
        run_ids=tuple(run_ids),
        project=settings.project,
        level_experiment=settings.level_experiment,
        mode=chosen,
    )
    try:
        _in_child(home, order, timeout_s)
    except BaseException:
        with suppress(DashboardError):
            settle(home, settings.project)
        raise


def settle(home: Home, project: str, *, timeout_s: float = _SETTLE_S) -> None:
    """Take away what an interrupted mirror left "running"; the next mirror makes it again.

    Raises:
        DashboardError: SwanLab's local store could not be opened.
    """
    if (store_of(home, project) / "runs.swanlab").exists():
        order = _Order(
            action="settle",
            home=str(home.root),
            run_ids=(),
            project=project,
            level_experiment=None,
            mode="local",
        )
        _in_child(home, order, timeout_s)


def resync(
    home: Home,
    *,
    mode: Mode | None = None,
    limit: int = RESYNC_RUNS,
    timeout_s: float = 3600.0,
) -> int:
    """Make the mirror again from the history; returns the number of runs shown.

    The newest `limit` runs get experiments of their own (a second or two each); the series over
    nights have every night.

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
    home: Home, *, mode: Mode | None = None, timeout_s: float = 600.0, limit: int | None = None
) -> int:
    """Show the runs that are landed and not shown yet (an outage, a killed mirror), oldest first.

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
    missing = [run for run in runs if not ledger.has(chosen, str(run["run_id"]))]
    missing = missing[-limit:] if limit is not None else missing
    for suite in dict.fromkeys(str(run["suite"]) for run in missing):
        of_suite = [str(run["run_id"]) for run in missing if run["suite"] == suite]
        settings = ledger.settings_of(suite)
        mirror_runs(home, of_suite, settings, mode=chosen, timeout_s=timeout_s)
    return len(missing)


def mode_of(environ: Mapping[str, str]) -> Mode:
    """SwanLab's own SWANLAB_MODE where set; else its cloud where there is a key; else local."""
    asked = environ.get("SWANLAB_MODE", "").strip().lower()
    if asked in ("local", "offline", "disabled"):
        return asked  # type: ignore[return-value]
    if asked in ("cloud", "online") or environ.get("SWANLAB_API_KEY"):
        return "online"
    return "local"


def store_of(home: Home, project: str) -> Path:
    """Where SwanLab keeps a project on this machine (its local store holds one project each)."""
    return home.dashboards / "swanlab" / project


def ledger_path(home: Home) -> Path:
    """Which runs are shown where."""
    return home.dashboards / "swanlab.json"


def log_path(home: Home) -> Path:
    """What SwanLab printed."""
    return home.dashboards / "swanlab.log"


def serve_argv(store: Path, port: int) -> list[str]:
    """The command that serves a local store on the loopback interface."""
    return [
        sys.executable,
        "-m",
        "swanlab",
        "watch",
        str(store),
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
    ]


def _in_child(home: Home, order: _Order, timeout_s: float) -> None:
    try:
        _run_child(home, order, timeout_s)
    except OSError as error:
        raise DashboardError(f"SwanLab could not be started: {error}") from error


def _run_child(home: Home, order: _Order, timeout_s: float) -> None:
    home.dashboards.mkdir(parents=True, exist_ok=True, mode=0o700)
    argv = [sys.executable, "-m", "nightbench.dashboards.swanlab_mirror"]
    environ = os.environ | {"SWANLAB_SAVE_DIR": str(home.dashboards / "swanlab-home")}
    with log_path(home).open("ab") as log:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environ,
            cwd=home.dashboards,
            start_new_session=True,
        )
        try:
            child.communicate(json.dumps(asdict(order)).encode(), timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise DashboardError(
                f"SwanLab did not finish within {timeout_s:g} s",
                hint=f"The numbers are in the history. Its output: {log_path(home)}",
            ) from None
        finally:
            _end(child)
    if child.returncode != 0:
        raise DashboardError(
            f"SwanLab failed: {_last_line(log_path(home))}",
            hint=f"The numbers are in the history. Its output: {log_path(home)}",
        )


def _end(child: subprocess.Popen[bytes]) -> None:
    """Nothing of the child stays, whatever ended the wait."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait(_GRACE_S)


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"


# ---- the child ---------------------------------------------------------------------------------


def main() -> int:
    """The child process: an order on stdin, swanlab's chatter on stdout, an exit code."""
    raw = json.loads(sys.stdin.read())
    order = _Order(**raw | {"run_ids": tuple(raw["run_ids"])})
    home = Home(Path(order.home))
    store = store_of(home, order.project)
    store.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with held(home.dashboards / "swanlab.lock", deadline_s=_LOCK_S), _local_store(order, store):
            if order.action == "mirror":
                _mirror(home, order, store)
    except (DashboardError, HistoryError) as error:
        print(error.message, file=sys.stderr)  # noqa: T201  (the log file of the parent)
        return 1
    return 0


def _mirror(home: Home, order: _Order, store: Path) -> None:
    from nightbench.dashboards.curves import experiments_of_run, experiments_over_nights
    from nightbench.history.reading import open_history

    ledger = MirrorLedger.read(ledger_path(home))
    targets: set[str] = set()
    with open_history(home) as history:
        for run_id in order.run_ids:
            experiments = experiments_of_run(history, run_id, level_template=order.level_experiment)
            if not experiments:
                raise DashboardError(f"run {run_id} is not in the history")
            targets.update(experiment.group for experiment in experiments)
            for experiment in experiments:
                _draw(experiment, order, store)
            suite = dict(experiments[0].config).get("suite")
            ledger.remember(str(suite or ""), _settings(order))
            ledger.add(order.mode, run_id)
        for experiment in experiments_over_nights(history, targets):
            _draw(experiment, order, store)
    if order.mode == "local":
        _refuse_unfinished(store)


def _settings(order: _Order) -> SwanlabSettings:
    return SwanlabSettings(project=order.project, level_experiment=order.level_experiment)


@contextmanager
def _local_store(order: _Order, store: Path) -> Iterator[None]:
    """SwanLab's local database, without experiments that a killed mirror left running."""
    if order.mode == "local":
        os.environ["SWANLAB_LOG_DIR"] = str(store)  # where swanboard looks for experiment folders
        _remove_experiments(store, only_running=True)
    yield


def _remove_experiments(store: Path, *, only_running: bool, key: str = "") -> None:
    from swanboard.db import connect  # type: ignore[import-untyped]
    from swanboard.db.models import Experiment  # type: ignore[import-untyped]

    connect(path=str(store), autocreate=True)
    for found in list(Experiment.select()):
        if found.status == _RUNNING if only_running else str(found.run_id).endswith(f"-{key}"):
            # Not Experiment.purely_delete: it lowers the counter that new experiments are sorted
            # by, and the next one would collide with a place that is taken.
            found.delete_instance()
            shutil.rmtree(store / str(found.run_id), ignore_errors=True)


def _refuse_unfinished(store: Path) -> None:
    """SwanLab swallows its own errors (a full disk, a locked database); its state does not."""
    from swanboard.db.models import Experiment

    unfinished = [str(found.name) for found in Experiment.select() if found.status == _RUNNING]
    if unfinished:
        raise DashboardError(f"SwanLab did not finish {', '.join(unfinished)} in {store}")


def _draw(experiment: Experiment, order: _Order, store: Path) -> None:
    """One experiment, in the place of the one drawn from the same rows before."""
    import swanlab

    if order.mode == "local":
        _remove_experiments(store, only_running=False, key=experiment.key)
    quiet = swanlab.Settings(
        interactive=False, probe=_QUIET_PROBES, terminal={"proxy_type": "none"}
    )
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
