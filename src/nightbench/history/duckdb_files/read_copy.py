"""The read copy: whether it is one, of this schema, of the history where it is now."""

from __future__ import annotations

from nightbench.errors import HistoryError
from nightbench.history.duckdb_files.database import DamagedFile, Database, open_reader
from nightbench.history.places import HistoryPlaces
from nightbench.history.regular_files import is_regular
from nightbench.history.sql_files import schema_version, statement


class StaleCopy(HistoryError):
    """The read copy is of an older schema, or names whole paths of a history that lay elsewhere."""


def open_copy(places: HistoryPlaces) -> Database:
    """The read copy as it is, if it is one that this nightbench can read.

    Raises:
        DamagedFile: it is no database.
        StaleCopy: it must be made again.
        HistoryError: a newer nightbench made it, or it cannot be opened.
    """
    if not is_regular(places.published):
        raise StaleCopy(f"{places.published} is not there")
    database = open_reader(places.published, facts=places.nights)
    try:
        _check(database, places)
    except BaseException:
        database.close()
        raise
    return database


def _check(database: Database, places: HistoryPlaces) -> None:
    known = schema_version()
    try:
        version, view = database.run(statement("read_copy")).rows[0]
    except DamagedFile:
        raise
    except HistoryError as error:
        raise StaleCopy(f"{database.path} is not a copy of a history: {error.message}") from error
    if not isinstance(version, int) or version < known:
        raise StaleCopy(f"{database.path} has schema version {version}, this nightbench {known}")
    if version > known:
        raise HistoryError(
            f"{database.path} has schema version {version}, this nightbench knows {known}",
            hint="Upgrade nightbench: it does not read a newer schema.",
        )
    facts = "/nights/night="  # of earlier releases, whose views named whole paths
    root = str(places.root).replace("'", "''")
    if facts in str(view) and f"{root}{facts}" not in str(view):
        raise StaleCopy(f"{database.path} belongs to a history that was moved")


def is_current(places: HistoryPlaces) -> bool:
    """Whether the read copy can be opened and asked."""
    try:
        open_copy(places).close()
    except (DamagedFile, StaleCopy):
        return False
    return True
