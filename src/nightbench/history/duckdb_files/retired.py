"""The marks of facts that are past their retention: no view lists them, their files go later.

A mark lies beside the file it is of and says how many nights were to be kept. So whoever comes
later, with another clock, can tell whether that still holds before the file is removed.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history.regular_files import read_regular, write_whole
from nightbench.history.spool import checked_json

MARK = ".retired"


def marker_of(path: Path) -> Path:
    """The file that says that a fact file was retired on purpose."""
    return path.with_suffix(MARK)


def is_retired(path: Path) -> bool:
    """Whether a fact file was retired."""
    return os.path.lexists(marker_of(path))


def mark_retired(path: Path, *, keep_nights: int, clock: datetime) -> None:
    """Retire a fact file, under the retention and by the clock of now.

    Raises:
        OSError: the disk did not take it.
    """
    members = {"keep_nights": keep_nights, "clock": clock.isoformat()}
    write_whole(marker_of(path), checked_json.text_of(checked_json.signed(members)).encode())


def nights_kept_of(path: Path) -> int | None:
    """Under which retention a fact file was retired; None where its mark is of before and empty.

    Raises:
        HistoryError: the mark cannot be read, or was changed.
    """
    marker = marker_of(path)
    try:
        content = read_regular(marker)
        if not content:
            return None
        members = checked_json.parse_members(content)
        checked_json.check_digest(members)
    except (OSError, HistoryError) as error:
        raise HistoryError(f"{marker} cannot be read: {error}") from error
    nights = members.get("keep_nights")
    if not isinstance(nights, int) or nights < 1:
        raise HistoryError(f"{marker} does not say how many nights were to be kept")
    return nights


def copy_mark(path: Path, other: Path) -> None:
    """The mark of a fact file for another one that holds the same rows.

    Raises:
        OSError: the disk did not take it.
    """
    try:
        content = read_regular(marker_of(path))
    except HistoryError:  # no file: a mark all the same
        content = b""
    write_whole(marker_of(other), content)
