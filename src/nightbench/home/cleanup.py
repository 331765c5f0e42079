"""What a home no longer needs: logs of runs long past, and what killed processes left lying.

Nothing that a run still needs is touched: whose rows lie in the spool is not over, and what was
changed within a day may still be at work.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from nightbench.home.kept_runs import moment_in, newest_runs
from nightbench.home.paths import Home

UNTOUCHED = timedelta(days=1)
# Of a level that was cut off: what was to be sent, what came back unparsed.
_RAW_LOAD = (".bodies", ".ends", ".offsets", ".raw")
# A spool folder that nobody got to open: it holds no row yet.
_BEFORE_THE_FIRST_ROW = {"lock", "identity.json", "identity.json.new"}


@dataclass(slots=True)
class Tidied:
    """What was removed: the runs whose logs went, and everything else by its path."""

    log_runs: list[str] = field(default_factory=list)
    leftovers: list[Path] = field(default_factory=list)
    num_files: int = 0
    num_bytes: int = 0


def tidy(home: Home, log_runs: int, now: datetime) -> Tidied:
    """Remove the logs of all but the newest runs, and leftovers of processes that were killed.

    A file that cannot be removed stays; the next time it is tried again.
    """
    done = Tidied()
    _tidy_logs(home, log_runs, now, done)
    spilled = home.history.glob("*.duckdb.tmp")  # of questions that were killed
    for path in (*_unopened(home.spool), *spilled):
        if _untouched(path, now) and _remove(path, done):
            done.leftovers.append(path)
    for run in _folders(home.spool):
        if _untouched(run, now):
            with suppress(OSError):  # it holds something
                run.rmdir()
    return done


def _tidy_logs(home: Home, log_runs: int, now: datetime, done: Tidied) -> None:
    names = sorted(path.name for path in _folders(home.logs) if moment_in(path.name) is not None)
    kept = newest_runs(names, log_runs, now)
    for name in names:
        folder = home.logs / name
        if _is_at_work(home, name) or not _untouched(folder, now):
            continue
        if name in kept:
            done.leftovers += [path for path in _raw_load(folder) if _remove(path, done)]
        elif _remove(folder, done):
            done.log_runs.append(name)


def _is_at_work(home: Home, name: str) -> bool:
    """Whether a run is not landed yet, or a server that was started by hand still runs."""
    if name.startswith("serve-"):
        return Path("/proc", name.rsplit("-", 1)[-1]).exists()
    return (home.spool / name).exists()


def _untouched(path: Path, now: datetime) -> bool:
    """Whether nothing directly in it was changed for a day. A date ahead of now is no age."""
    try:
        changed = [path.stat().st_mtime, *(entry.lstat().st_mtime for entry in path.iterdir())]
    except OSError:
        return False
    return now.timestamp() - max(changed) > UNTOUCHED.total_seconds()


def _raw_load(run: Path) -> list[Path]:
    return [path for path in run.glob("*/load/*") if path.suffix in _RAW_LOAD]


def _unopened(spool: Path) -> Iterator[Path]:
    """Folders of writers that were killed before they had opened them."""
    for run in _folders(spool):
        for folder in run.glob(".*.new"):
            with suppress(OSError):
                if set(os.listdir(folder)) <= _BEFORE_THE_FIRST_ROW:  # noqa: PTH208
                    yield folder


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, links left out."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]


def _remove(path: Path, done: Tidied) -> bool:
    """Remove a file, or a folder with all that is in it (of a link in it, the link alone)."""
    with suppress(OSError):
        inside = [one.lstat() for one in (path, *path.rglob("*")) if not _is_real_folder(one)]
        if _is_real_folder(path):
            shutil.rmtree(path)
        else:
            path.unlink()
        done.num_files += len(inside)
        done.num_bytes += sum(one.st_size for one in inside)
        return True
    return False


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
