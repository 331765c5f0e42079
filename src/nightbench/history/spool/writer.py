"""The spool: every row is on disk when it is made, whoever dies afterwards.

    <spool>/<run_id>/<target>.open/      being written: JSON lines per table, flushed row by row
    <spool>/<run_id>/<target>.sealed/    Parquet per table and a manifest, ready to land

A `.open` folder holds a lock file that is flock'ed while its writer lives. `recover` seals what
dead writers left. The run itself has the folder `_run`.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from nightbench.errors import HistoryError
from nightbench.history import tables
from nightbench.history.clock import Now, utc_now
from nightbench.history.spool.folders import (
    OPEN,
    broken_folders,
    lock_folder,
    sealed_folders,
    sealed_path,
    write_identity,
)
from nightbench.history.spool.identity import SpoolIdentity, check_identity, storable
from nightbench.history.spool.recovery import recover, seal
from nightbench.history.spool.row_values import line_of
from nightbench.history.tables import RUN_FOLDER, Row
from nightbench.home.private_files import PRIVATE_DIR, make_private
from nightbench.secrets.redaction import Redactor

__all__ = ["RUN_FOLDER", "Spool", "SpoolIdentity", "broken_folders", "recover", "sealed_folders"]


class Spool:
    """One open spool folder. Appending is safe from several threads of one process.

    The last line of defence: no text of a row reaches the disk with a secret in it.
    """

    def __init__(
        self, folder: Path, identity: SpoolIdentity, lock_fd: int, now: Now, redact: Redactor
    ) -> None:
        self._folder = folder
        self._identity = identity
        self._lock_fd = lock_fd
        self._now = now
        self._redact = redact
        self._files: dict[str, int] = {}
        self._parts = 0
        self._guard = threading.Lock()
        self._sealed: Path | None = None

    @classmethod
    def open(
        cls,
        spool: Path,
        identity: SpoolIdentity,
        *,
        now: Now = utc_now,
        redact: Redactor | None = None,
    ) -> Spool:
        """Begin the folder of one target of one run (or of the run itself: target `_run`).

        `redact` knows the secrets of the environment unless said.

        Raises:
            HistoryError: this run has spooled this target before, or the names are no file names.
        """
        check_identity(identity)
        identity = replace(identity, hardware_class=storable(identity.hardware_class))
        folder = spool / identity.run_id / f"{identity.target}{OPEN}"
        for taken in (folder, sealed_path(folder)):
            if taken.exists():
                raise HistoryError(f"{taken} already exists", hint="A run spools each target once.")
        try:
            lock_fd = _begin(folder, identity)
        except OSError as error:
            raise _no_room(f"{folder} cannot be written", error) from error
        return cls(folder, identity, lock_fd, now, redact or Redactor.from_env())

    @property
    def folder(self) -> Path:
        """Where the rows lie now."""
        return self._sealed or self._folder

    @property
    def identity(self) -> SpoolIdentity:
        """What the rows are about."""
        return self._identity

    def keep_out(self, *secrets: str) -> None:
        """Hide these too, from now on."""
        self._redact = self._redact.knowing(*secrets)

    def append(self, row: Row) -> None:
        """Write one row; it is with the operating system when this returns. Values that its table
        cannot hold are found when the folder is sealed: one row is no reason to end a night.

        Raises:
            HistoryError: the disk did not take it (nothing of the row remains).
        """
        table = tables.table_of(row)
        line = line_of(row, self._redact)
        with self._guard:
            self._must_be_open()
            try:
                _append_whole(self._file(table.name), line)
            except OSError as error:
                raise _no_room(f"{self._folder} rejected a row", error) from error

    def add_parquet(self, table: str, path: Path) -> None:
        """Move in a Parquet file that holds rows of a bulky table (its columns: the row's fields).

        Raises:
            HistoryError: there is no such table, or the file could not be moved.
        """
        if table not in tables.BY_NAME:
            raise HistoryError(f"there is no table {table!r} to spool {path} for")
        with self._guard:
            self._must_be_open()
            self._parts += 1
            _move(path, self._folder / f"{table}.part{self._parts:04d}.parquet")

    def set_hardware_class(self, hardware_class: str | None) -> None:
        """Say what it was measured on, once that is known.

        Raises:
            HistoryError: the disk did not take it.
        """
        with self._guard:
            self._must_be_open()
            self._identity = replace(self._identity, hardware_class=storable(hardware_class))
            try:
                write_identity(self._folder, self._identity)
            except OSError as error:
                raise _no_room(f"{self._folder} cannot be written", error) from error

    def seal(self, status: str) -> Path:
        """Close the folder: Parquet per table, the manifest last, then the name `.sealed`.

        Raises:
            HistoryError: it could not be written; the rows stay in the open folder.
        """
        with self._guard:
            if self._sealed is None:
                self._close_files()
                self._sealed = seal(self._folder, self._identity, status, self._now())
                os.close(self._lock_fd)
            return self._sealed

    def abandon(self) -> None:
        """Let go without sealing, as a crash would: `recover` will find the folder."""
        with self._guard:
            if self._sealed is None:
                self._close_files()
                os.close(self._lock_fd)
                self._sealed = self._folder

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._sealed is not None:
            return
        if kind is None:
            self.seal("completed")
        else:
            self.seal("failed" if issubclass(kind, Exception) else "cancelled")

    def _must_be_open(self) -> None:
        if self._sealed is not None:
            raise HistoryError(f"{self._sealed} is closed")

    def _file(self, table: str) -> int:
        if table not in self._files:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._files[table] = os.open(self._folder / f"{table}.jsonl", flags, 0o600)
        return self._files[table]

    def _close_files(self) -> None:
        while self._files:
            os.close(self._files.popitem()[1])


def _begin(folder: Path, identity: SpoolIdentity) -> int:
    """Make an open folder in one step, so that it is never there without its lock held."""
    aside = folder.with_name(f".{identity.target}.{os.getpid()}.new")
    while not aside.exists():
        with contextlib.suppress(FileNotFoundError):  # a lander removed the empty run folder
            make_private(folder.parent)
            aside.mkdir(mode=PRIVATE_DIR, exist_ok=True)
    lock_fd = lock_folder(aside)
    if lock_fd is None:
        raise HistoryError(f"{aside} is being opened by another process")
    write_identity(aside, identity)
    aside.rename(folder)
    return lock_fd


def _append_whole(fd: int, line: bytes) -> None:
    """All of the line or nothing of it: half a line would swallow the next one."""
    before = os.fstat(fd).st_size
    try:
        written = 0
        while written < len(line):
            written += os.write(fd, line[written:])
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, before)
        raise


def _no_room(what: str, error: OSError) -> HistoryError:
    return HistoryError(f"{what}: {error}", hint="Make room.")


def _move(source: Path, target: Path) -> None:
    import shutil

    try:
        shutil.move(source, target)
        target.chmod(0o600)
    except OSError as error:
        raise HistoryError(f"{source} could not be moved into the spool: {error}") from error
