"""The request bodies of a level as the generator reads them: mapped, not loaded."""

from __future__ import annotations

import mmap
from array import array
from pathlib import Path


class Bodies:
    """Bodies from the file that `message.write_bodies` wrote, behind the head they share."""

    def __init__(self, path: Path, head: str) -> None:
        self._head = head.encode("latin-1")
        self._ends = array("Q")
        self._ends.frombytes(path.with_suffix(".ends").read_bytes())
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def message(self, index: int) -> bytes:
        """The whole request `index`, ready to send."""
        first = self._ends[index - 1] if index else 0
        body = self._map[first : self._ends[index]]
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)
