"""When a folder landed, said beside its manifest, so that a rebuilt history says the same.

The ledger in the database is the truth; this is its copy in the folder, written before the
transaction: a lander that is killed in between writes it again.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from nightbench.errors import HistoryError
from nightbench.history.regular_files import read_regular, write_whole
from nightbench.history.spool import checked_json

LANDED_NAME = "landed.json"


def write_landed_at(folder: Path, moment: datetime) -> None:
    """Say when a folder lands.

    Raises:
        OSError: the disk did not take it.
    """
    members = checked_json.signed({"landed_at": moment.isoformat()})
    # Not worth a wait for the disk per folder: without it a rebuild takes the folder's own time.
    write_whole(folder / LANDED_NAME, checked_json.text_of(members).encode(), sync=False)


def read_landed_at(folder: Path) -> datetime | None:
    """When a folder landed; None where it does not say, as folders of before do not.

    Raises:
        HistoryError: what it says was changed.
    """
    path = folder / LANDED_NAME
    try:
        content = read_regular(path)
        members = checked_json.parse_members(content)
        checked_json.check_digest(members)
        return datetime.fromisoformat(members["landed_at"])
    except FileNotFoundError:
        return None
    except (OSError, HistoryError, KeyError, TypeError, ValueError) as error:
        raise HistoryError(f"{path} cannot be read: {error}") from error
