"""What is wrong with a folder, so that the others need not suffer for it."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

from nightbench.errors import NightbenchError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})


@dataclass(frozen=True, slots=True)
class Damaged:
    """A folder that was not taken, and why. It stays where it is."""

    folder: Path
    reason: str


def is_no_room(error: OSError) -> bool:
    """Whether the disk itself failed, not one file: whatever is tried next would fail as well."""
    return error.errno in _NO_ROOM


def words_of(error: Exception) -> str:
    """What an error says: ours and the system's in their words, others by their name too."""
    return str(error) if isinstance(error, NightbenchError | OSError) else repr(error)


def reason_of(folder: Path, error: Exception) -> str:
    """What an error says of a folder, its name included."""
    said = words_of(error)
    return said if str(folder) in said else f"{folder}: {said}"
