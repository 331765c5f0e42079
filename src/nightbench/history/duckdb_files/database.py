"""The only door to DuckDB: one writer on the landing file, any number of readers on the copy."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from nightbench.errors import BadInput, HistoryError
from nightbench.history.store import Result, StorageError

if TYPE_CHECKING:
    import pandas as pd

_HOLDER = re.compile(r"Conflicting lock is held in (?P<program>.*?) \(PID (?P<pid>\d+)\)")
_LET_GO = "Close that program, or open the published history.duckdb beside it."
_RETRY_S = 0.1
_OFFLINE = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
# What DuckDB says where the disk did not take something, and where a database file is none.
_NO_ROOM = re.compile(
    r"could not (write|fsync|truncate|sync|create)|no space left|disk quota|file too large",
    re.IGNORECASE,
)
_DAMAGED = re.compile(
    r"corrupt|not a valid DuckDB|could not read|replaying WAL|serializ|different encryption"
    r"|has been invalidated|is a directory",
    re.IGNORECASE,
)
_NEWER = re.compile(r"version number \d+, but we can only read|storage version|newer version")
_KEPT_FILE = re.compile(r"/nights/night=\d{4}-\d\d-\d\d/")
# What a reader may say. Everything else writes, attaches or configures.
_READING = {
    duckdb.StatementType.SELECT,
    duckdb.StatementType.RELATION,
}
_EXPLAIN = re.compile(r"^\s*EXPLAIN(\s+ANALYZE)?(\s*\([^)]*\))?\s", re.IGNORECASE)


_LINE = re.compile(r"\n+LINE \d+:.*\Z", re.DOTALL)

REBUILD = "nightbench land --rebuild"
CLOSED = (
    "Its owner opens it to a group of yours: NIGHTBENCH_GROUP=… nightbench land. A copy of your own"
    " needs its files to be yours: chown -R."
)
ROOT_VARIABLE = "nightbench_history"  # of a session: the folder of its database file, with a slash


class DamagedFile(StorageError):
    """A database file is none, was changed, or is of a newer DuckDB. What it held is in nights/."""


class HeldFile(HistoryError):
    """A database file is open elsewhere."""


class KeptFileError(HistoryError):
    """A file in nights/, which a view reads in place, is missing or damaged."""


class Database:
    """A connection whose errors are HistoryErrors."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        self._connection = connection
        self.path = path

    def run(self, sql: str, params: Mapping[str, object] | None = None) -> Result:
        """Execute statements; the result of the last one. Parameters are bound, never pasted."""
        try:
            cursor = self._connection.execute(sql, dict(params) if params else None)
            columns = tuple(column[0] for column in cursor.description or ())
            return Result(columns, tuple(cursor.fetchall()) if columns else ())
        except duckdb.Error as error:
            raise _history_error(self.path, error) from error

    def script(self, sql: str) -> None:
        """Execute a script of several statements without parameters."""
        self.run(sql)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        self.run("BEGIN")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        try:
            self._connection.rollback()
        except duckdb.Error:
            # Nothing to undo: DuckDB gave the transaction up itself (disk full, failed COMMIT).
            return

    def read(self, sql: str, params: Mapping[str, object] | None = None) -> Result:
        """One reading statement of a person.

        Raises:
            BadInput: it does not parse, or it would write.
            HistoryError: it failed.
        """
        return self.run(only_reads(self._connection, sql), params)

    def frame(self, sql: str, params: Mapping[str, object] | None = None) -> pd.DataFrame:
        """One reading statement, as a DataFrame."""
        reading = only_reads(self._connection, sql)
        try:
            return self._connection.execute(reading, dict(params) if params else None).df()
        except duckdb.Error as error:
            raise _history_error(self.path, error) from error

    def close(self) -> None:
        """Let go of the file; a writer's log is folded in first."""
        try:
            self._connection.close()
        except duckdb.Error as error:
            raise _history_error(self.path, error) from error


def _settle(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """What every statement finds: the folder that the views' paths begin in, and UTC."""
    root = f"{path.absolute().parent}{os.sep}".replace("'", "''")
    connection.execute(f"SET VARIABLE {ROOT_VARIABLE} = '{root}'")
    connection.execute("SET TimeZone = 'UTC'")


def only_reads(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The one statement of `sql`, provided that it reads.

    Raises:
        BadInput: no statement, several, one that does not parse, or one that writes.
    """
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise BadInput(_words(error), hint="Tables and columns: sql/README.md.") from error
    if len(statements) != 1:
        raise BadInput(f"expected one statement, there are {len(statements)}")
    kind = statements[0].type
    if kind == duckdb.StatementType.EXPLAIN:  # EXPLAIN ANALYZE runs what it explains
        explained = _EXPLAIN.sub("", statements[0].query, count=1)
        kind = _kind(connection, explained) or kind
    if kind not in _READING:
        raise BadInput(
            f"{kind.name} is refused: the history is read-only here",
            hint="Ask with SELECT, FROM, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN.",
        )
    return statements[0].query


def _kind(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.StatementType | None:
    try:
        return connection.extract_statements(sql)[0].type
    except (duckdb.Error, IndexError):
        return None


def open_writer(path: Path, *, deadline_s: float) -> Database:
    """The landing file, for its one writer. Waits for the lock until the deadline.

    Raises:
        HistoryError: somebody holds it longer (named with pid), or it cannot be opened.
        DamagedFile: it is no database file that this DuckDB reads.
    """
    if path.is_symlink():
        raise HistoryError(f"{path} is a symbolic link and is not written through")
    give_up = time.monotonic() + deadline_s
    while True:
        try:
            connection = duckdb.connect(str(path), config=dict(_OFFLINE))
        except duckdb.Error as error:
            holder = _HOLDER.search(str(error))
            if holder is None:
                raise _history_error(path, error) from error
            if time.monotonic() >= give_up:
                raise HistoryError(
                    f"{path} is held by {holder['program']} (pid {holder['pid']})"
                    f" for more than {deadline_s:g} s",
                    hint=_LET_GO,
                ) from error
            time.sleep(min(_RETRY_S, max(0.0, give_up - time.monotonic())))
        else:
            try:
                path.chmod(0o600)
                _settle(connection, path)
            except BaseException:
                connection.close()  # or the file stays locked as long as somebody has the error
                raise
            return Database(connection, path)


def open_reader(path: Path, *, facts: Path) -> Database:
    """The published copy, read-only, with no way to other files than the facts.

    Raises:
        HistoryError: it cannot be opened.
        DamagedFile: it is no database file that this DuckDB reads.
    """
    spill = _spill_folder(path.parent)
    config: dict[str, str | bool | int | float | list[str]] = {**_OFFLINE}
    if spill:
        config["temp_directory"] = str(spill)
    connection = None
    try:
        connection = duckdb.connect(str(path), read_only=True, config=config)
        _settle(connection, path)
        # Pasted, quoted: binding would import pandas, half a second before the first answer.
        connection.execute(f"SET allowed_directories = {quoted_list([f'{facts}{os.sep}'])}")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        if connection is not None:
            connection.close()
        if spill:
            shutil.rmtree(spill, ignore_errors=True)
        raise _history_error(path, error) from error
    database = Database(connection, path)
    if spill:
        weakref.finalize(database, shutil.rmtree, spill, ignore_errors=True)
    return database


def _spill_folder(history: Path) -> Path | None:
    """Where a question too large for the memory goes, if the reader may not write beside the file
    (None): in a folder of their own, for DuckDB would make one that everybody may read."""
    if os.access(history, os.W_OK):
        return None
    return Path(tempfile.mkdtemp(prefix="nightbench-sql-"))


def log_of(database: Path) -> Path:
    """DuckDB's write-ahead log of a file; there only while it is written or after a crash."""
    return database.with_name(f"{database.name}.wal")


def remove_database(database: Path) -> None:
    """A database file that nobody needs, with its log."""
    for path in (database, log_of(database)):
        path.unlink(missing_ok=True)


def quoted_list(texts: Sequence[str]) -> str:
    """SQL text of a list of strings: views cannot take bound parameters."""
    return "[" + ", ".join("'" + text.replace("'", "''") + "'" for text in texts) + "]"


def _words(error: duckdb.Error) -> str:
    """What DuckDB says, without the line of a statement that nobody may have typed."""
    return _LINE.sub("", str(error)).strip()


def _history_error(path: Path, error: duckdb.Error) -> HistoryError:
    said = _words(error)
    holder = _HOLDER.search(said)
    if holder is not None:
        return HeldFile(
            f"{path} is held by {holder['program']} (pid {holder['pid']})", hint=_LET_GO
        )
    if _KEPT_FILE.search(said):
        return _kept_file_error(said)
    if isinstance(error, duckdb.InvalidInputException | duckdb.BinderException):
        return HistoryError(said)
    if isinstance(error, duckdb.CatalogException | duckdb.ParserException):
        return HistoryError(said, hint="Tables and columns are explained in sql/README.md.")
    if _NO_ROOM.search(said):
        return StorageError(
            f"{path}: {said}", hint="Nothing is lost: free some space, then run `nightbench land`."
        )
    return _file_error(path, error, said) or HistoryError(f"{path}: {said}")


def _kept_file_error(said: str) -> HistoryError:
    if "permission denied" in said.lower():
        return HistoryError(said, hint=CLOSED)
    return KeptFileError(
        said,
        hint=f"A kept file is missing or damaged. `{REBUILD}` names every such file: restore them,"
        " or leave them out with --without-damaged.",
    )


def _file_error(path: Path, error: duckdb.Error, said: str) -> HistoryError | None:
    """What is wrong with the database file itself, where something is."""
    if _NEWER.search(said):
        return DamagedFile(
            f"{path} was written by a newer DuckDB: {said}",
            hint=f"Upgrade nightbench, or run `{REBUILD}` to rebuild it with this version.",
        )
    told_of_it = path.name in said or isinstance(
        error, duckdb.FatalException | duckdb.InternalException | duckdb.SerializationException
    )
    if _DAMAGED.search(said) and (told_of_it or "Corrupt database file" in said):
        return DamagedFile(
            f"{path} is damaged: {said}",
            hint=f"Run `{REBUILD}`: everything in it is rebuilt from nights/.",
        )
    if isinstance(error, duckdb.FatalException | duckdb.InternalException):
        return StorageError(f"{path}: {said}", hint="Run `nightbench land` once no run is active.")
    return None
