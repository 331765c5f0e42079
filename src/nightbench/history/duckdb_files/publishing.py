"""Views over what has landed, and the read copy that everybody else opens."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history import sql_files
from nightbench.history.duckdb_files.database import Database, log_of, quoted_list
from nightbench.history.places import HistoryPlaces
from nightbench.history.regular_files import create_anew, is_folder, open_regular
from nightbench.history.tables import TABLES, Table
from nightbench.home.private_files import GroupAccess

_FICLONE = 0x40049409  # ioctl of Linux: share the blocks where the file system can
_BLOCK = 1 << 22


def make_views(database: Database, places: HistoryPlaces) -> list[str]:
    """Every view anew, in one transaction: those over Parquet list exactly the landed files.

    A file that is not there would end every query of its view: it is left out, and returned.
    """
    missing: list[tuple[object, ...]] = []
    root = f"{places.root}{os.sep}"  # thousands of files: no paths made in vain
    with database.transaction():
        for table in TABLES:
            if table.bulky:
                rows = database.run(sql_files.statement("fact_files"), {"table_name": table.name})
                there: list[tuple[object, ...]] = []
                for row in rows.rows:
                    is_there = os.path.isfile(f"{root}{row[1]}")  # noqa: PTH113
                    (there if is_there else missing).append(row)
                database.script(facts_view(table, there))
        for view in sql_files.views():
            database.script(view.text)
    return [str(path) for _, path in missing]


def facts_view(table: Table, files: Sequence[tuple[object, ...]]) -> str:
    """The CREATE VIEW of a bulky table over (schema_version, path) pairs.

    Paths stay relative to the history, so that it can be moved and copied: whoever opens it says
    where it lies, in a variable of the session (see `database`), or stands in its folder. Files of
    one schema version share a branch: within it all have the same columns.
    """
    by_version: dict[int, list[str]] = {}
    for version, path in files:
        by_version.setdefault(int(str(version)), []).append(str(path))
    template = sql_files.statement("facts_view_branch").rstrip()
    branches = [
        template.replace("{files}", quoted_list(paths)) for _, paths in sorted(by_version.items())
    ]
    return (
        sql_files.statement("facts_view")
        .replace("{table}", table.name)
        .replace("{columns}", ", ".join(table.columns))
        .replace("{branches}", "\n".join(branches))
    )


def is_published(places: HistoryPlaces) -> bool:
    """Whether the read copy is of the landing file as it is.

    The copy carries the time of what it was made of. Which of two times is the later says nothing:
    the clock may have been set in between.
    """
    if log_of(places.landing).exists():
        return False
    try:
        copy, landing = places.published.stat(), places.landing.stat()
    except FileNotFoundError:
        return False
    return (copy.st_size, copy.st_mtime_ns) == (landing.st_size, landing.st_mtime_ns)


def is_same(places: HistoryPlaces) -> bool:
    """Whether the read copy has, byte for byte, what the landing file has."""
    with open_regular(places.published) as copy, open_regular(places.landing) as landing:
        while block := copy.read(_BLOCK):
            if block != landing.read(_BLOCK):
                return False
        return landing.read(1) == b""


def publish(places: HistoryPlaces) -> None:
    """Put a copy of the (closed) landing file in the place of the last one, in one step.

    Readers that hold the last copy keep it, whole, until they let go.

    Raises:
        HistoryError: the copy could not be made; the last one is still there.
    """
    if log_of(places.landing).exists():
        raise HistoryError(
            f"{places.landing}: its write-ahead log could not be merged; the disk may be full",
            hint="What was ingested is safe; free some space and run `nightbench land`.",
        )
    if is_folder(places.published):
        raise HistoryError(
            f"{places.published} is a folder in the place of the read copy",
            hint="Move it away and run `nightbench land`.",
        )
    aside = places.root / f".history.{os.getpid()}.new"
    try:
        _copy(places.landing, aside, places.readers)
        aside.rename(places.published)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise HistoryError(
            f"{places.published} could not be renewed: {error}",
            hint="What was ingested is safe; free some space and run `nightbench land`.",
        ) from error


def remove_leftovers(places: HistoryPlaces) -> None:
    """Copies that a killed lander did not finish. The landing lock must be held."""
    for path in places.root.glob(".history.*.new"):
        if not is_folder(path):
            path.unlink()


def _copy(source: Path, target: Path, readers: GroupAccess) -> None:
    with open_regular(source) as read, create_anew(target) as written:
        readers.give(written.fileno(), readers.file_mode)
        try:
            fcntl.ioctl(written.fileno(), _FICLONE, read.fileno())
        except OSError:  # the file system cannot share blocks
            shutil.copyfileobj(read, written, _BLOCK)
        written.flush()
        os.fsync(written.fileno())
        made_of = os.fstat(read.fileno())
        os.utime(written.fileno(), ns=(made_of.st_atime_ns, made_of.st_mtime_ns))
