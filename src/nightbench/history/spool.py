"""The spool: every row is on disk when it is made, whoever dies afterwards.

    <spool>/<run_id>/<target>.open/      being written: JSON lines per table, flushed row by row
    <spool>/<run_id>/<target>.sealed/    Parquet per table and a manifest, ready to land

A `.open` folder holds a lock file that is flock'ed while its writer lives. `recover` seals what
dead writers left. The run itself has the folder `_run`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType

from nightbench.errors import HistoryError
from nightbench.history import manifest as manifests
from nightbench.history import tables
from nightbench.history.manifest import SpoolIdentity
from nightbench.history.tables import RUN_FOLDER, Row
from nightbench.owned_files import NotARegularFile, open_lock
from nightbench.private_files import PRIVATE_DIR, PRIVATE_FILE, make_private
from nightbench.redaction import Redactor

__all__ = ["RUN_FOLDER", "Spool", "SpoolIdentity", "broken_folders", "recover", "sealed_folders"]

LOCK_NAME = "lock"
IDENTITY_NAME = "identity.json"
BROKEN = ".broken"
_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")

Now = Callable[[], datetime]


def _utc_now() -> datetime:
    return datetime.now(UTC)


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
        now: Now = _utc_now,
        redact: Redactor | None = None,
    ) -> Spool:
        """Begin the folder of one target of one run (or of the run itself: target `_run`).

        `redact` knows the secrets of the environment unless said.

        Raises:
            HistoryError: this run has spooled this target before, or the names are no file names.
        """
        for name in (identity.run_id, identity.target):
            if not _NAME.match(name):
                raise HistoryError(f"{name!r} cannot name a spool folder")
        run_folder = spool / identity.run_id
        folder = run_folder / f"{identity.target}.open"
        for taken in (folder, _sealed_path(folder)):
            if taken.exists():
                raise HistoryError(
                    f"{taken} is already there", hint="A run spools each target once."
                )
        try:
            lock_fd = _begin(folder, identity)
        except OSError as error:
            raise HistoryError(f"{folder} cannot be written: {error}", hint="Make room.") from error
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
        """Write one row; it is with the operating system when this returns.

        Raises:
            HistoryError: the disk did not take it (nothing of the row remains).
        """
        table = tables.table_of(row)
        members = tables.encode(row, self._redact)
        line = json.dumps(members, ensure_ascii=False, separators=(",", ":")) + "\n"
        with self._guard:
            self._must_be_open()
            _append_whole(self._file(table.name), line.encode(errors="replace"), self._folder)

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
        """Say what it was measured on, once that is known."""
        with self._guard:
            self._must_be_open()
            self._identity = replace(self._identity, hardware_class=hardware_class)
            _write_identity(self._folder, self._identity)

    def seal(self, status: str) -> Path:
        """Close the folder: Parquet per table, the manifest last, then the name `.sealed`.

        Raises:
            HistoryError: it could not be written; the rows stay in the open folder.
        """
        with self._guard:
            if self._sealed is None:
                self._close_files()
                self._sealed = _seal(self._folder, self._identity, status, self._now())
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
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
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
    lock_fd = _lock(aside)
    if lock_fd is None:
        raise HistoryError(f"{aside} is being opened by somebody else")
    _write_identity(aside, identity)
    aside.rename(folder)
    return lock_fd


def recover(spool: Path, *, now: Now = _utc_now) -> list[Path]:
    """Seal what dead writers left open, as `crashed`; folders whose writer lives are left alone.

    Raises:
        HistoryError: a folder could not be written; it is tried again the next time.
    """
    sealed = []
    for folder in sorted(spool.glob("*/*.open")):
        lock_fd = _lock(folder)
        if lock_fd is None:
            continue
        try:
            identity = _identity_or_none(folder)
            if identity is None:
                folder.rename(folder.with_suffix(BROKEN))
            else:
                sealed.append(_seal(folder, identity, "crashed", now()))
        finally:
            os.close(lock_fd)
    return sealed


def broken_folders(spool: Path) -> list[Path]:
    """Folders that say of no run and target: only a person can tell what they are."""
    return sorted(spool.glob(f"*/*{BROKEN}"))


def _identity_or_none(folder: Path) -> SpoolIdentity | None:
    try:
        return _read_identity(folder)
    except (HistoryError, ValueError, KeyError, TypeError):
        return None


def sealed_folders(spool: Path) -> list[Path]:
    """Sealed folders that wait to be landed: a run's own first, then its targets."""
    return sorted(spool.glob("*/*.sealed"), key=lambda p: (p.parent.name, p.name))


def _seal(folder: Path, identity: SpoolIdentity, status: str, moment: datetime) -> Path:
    from nightbench.history import sealing

    sealed = _sealed_path(folder)
    try:
        if not (folder / manifests.FILE_NAME).exists():
            sealing.compact(folder, identity, status=status, sealed_at=moment)
        sealing.remove_working_files(folder)
        (folder / IDENTITY_NAME).unlink(missing_ok=True)
        (folder / LOCK_NAME).unlink(missing_ok=True)
        folder.rename(sealed)
    except OSError as error:
        raise HistoryError(
            f"{folder} could not be sealed: {error}",
            hint="The rows are still there: make room and type `nightbench land`.",
        ) from error
    return sealed


def _sealed_path(folder: Path) -> Path:
    return folder.with_name(folder.name.removesuffix(".open") + ".sealed")


def _lock(folder: Path) -> int | None:
    """The folder's lock, or None where a living writer holds it. Ends with the file descriptor."""
    try:
        fd = open_lock(folder / LOCK_NAME, PRIVATE_FILE)
    except FileNotFoundError:
        return None  # sealed under our eyes
    except NotARegularFile as error:
        raise HistoryError(f"{folder / LOCK_NAME} is no lock: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    if not folder.exists():  # renamed between open and flock
        os.close(fd)
        return None
    return fd


def _append_whole(fd: int, line: bytes, folder: Path) -> None:
    """All of the line or nothing of it: half a line would swallow the next one."""
    before = os.fstat(fd).st_size
    try:
        written = 0
        while written < len(line):
            written += os.write(fd, line[written:])
    except OSError as error:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, before)
        raise HistoryError(f"{folder} did not take a row: {error}", hint="Make room.") from error


def _move(source: Path, target: Path) -> None:
    import shutil

    try:
        shutil.move(source, target)
        target.chmod(0o600)
    except OSError as error:
        raise HistoryError(f"{source} could not be moved into the spool: {error}") from error


def _write_identity(folder: Path, identity: SpoolIdentity) -> None:
    members: Mapping[str, object] = asdict(identity) | {"night": identity.night.isoformat()}
    aside = folder / f"{IDENTITY_NAME}.new"
    aside.write_text(json.dumps(members))
    aside.rename(folder / IDENTITY_NAME)


def _read_identity(folder: Path) -> SpoolIdentity:
    path = folder / IDENTITY_NAME
    if not path.exists():  # died between manifest and rename
        return manifests.read(folder)[0].identity
    members = json.loads(path.read_text())
    return SpoolIdentity(**members | {"night": date.fromisoformat(members["night"])})
