"""What a folder is about, and whether a name or a night may be one at all.

Run and target become the names of folders, in the spool and in `nights/`. So they are held against
one strict pattern wherever they come in: when a folder is opened, sealed, landed or read back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field

from nightbench.errors import HistoryError
from nightbench.terminal_text import storable_text

MOST_NAME_CHARS = 200  # with what the spool puts around it, a name of a file
MOST_TEXT_CHARS = 1000
_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_IS_NAME = re.compile(_NAME)
# A machine whose clock was reset says 1970, and what it measured is kept; no clock says 2200.
FIRST_NIGHT, LAST_NIGHT = date(1970, 1, 1), date(2199, 12, 31)

Name = Annotated[str, Field(pattern=f"^{_NAME}$", max_length=MOST_NAME_CHARS)]
Night = Annotated[date, Field(ge=FIRST_NIGHT, le=LAST_NIGHT)]
Text = Annotated[str, Field(max_length=MOST_TEXT_CHARS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolIdentity:
    """What a spool folder is about: the columns its rows do not carry."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    run_id: Name
    target: Name
    night: Night
    hardware_class: Text | None = None


def is_name(text: str) -> bool:
    """Whether a run or a target may be called so."""
    return len(text) <= MOST_NAME_CHARS and _IS_NAME.fullmatch(text) is not None


def check_identity(identity: SpoolIdentity) -> None:
    """Whether rows may be kept under it.

    Raises:
        HistoryError: a name cannot name a folder, or there is no such night.
    """
    for name in (identity.run_id, identity.target):
        if not is_name(name):
            raise HistoryError(f"{name!r} is not a valid name of a spool folder")
    if not FIRST_NIGHT <= identity.night <= LAST_NIGHT:
        raise HistoryError(f"{identity.night} is not a valid night")


def check_place(folder: Path, identity: SpoolIdentity) -> None:
    """Whether a folder of the spool is called what it says it is.

    Raises:
        HistoryError: run or target are others.
    """
    target, _, _ = folder.name.rpartition(".")
    if (folder.parent.name, target) != (identity.run_id, identity.target):
        raise HistoryError(
            f"{folder} says that it is {identity.run_id}/{identity.target}, which is not its name",
            hint="None of it was ingested. Restore its name, or move it away.",
        )


def storable(hardware_class: str | None) -> str | None:
    """A hardware class as every file takes it: half a character becomes the replacement mark."""
    return None if hardware_class is None else storable_text(hardware_class)[:MOST_TEXT_CHARS]
