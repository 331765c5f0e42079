"""Every read of one answer, with its stamps, as it came."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Protocol


class Reads(Protocol):
    """What has been read of an answer. Times are CLOCK_MONOTONIC ns."""

    @property
    def size(self) -> int:
        """Bytes read."""

    def __len__(self) -> int:
        """How many reads there were."""

    def add(self, data: bytes, stamp: bytes, at_ns: int, floor_ns: int) -> None:
        """One more read; `stamp` and `floor_ns` as in `nightbench.load.rawlog`."""

    def tail(self, begin: int) -> bytes:
        """The bytes from position `begin` on."""

    def at_ns(self, read: int) -> int:
        """When this read was done; negative: counted from the last."""

    def last_stamp(self) -> bytes:
        """The kernel's stamp of the last read."""

    def latest_first(self) -> Iterator[tuple[bytes, int]]:
        """The bytes of each read and when it was done."""

    def columns(self) -> bytes:
        """Stamps, times, floors and lengths, as they stand in a raw record."""


class PlainReads:
    """Reads kept in Python."""

    __slots__ = ("_floors", "_reads", "_stamps", "_times", "size")

    def __init__(self) -> None:
        self.size = 0
        self._reads: list[bytes] = []
        self._stamps: list[bytes] = []
        self._times, self._floors = array("q"), array("q")

    def __len__(self) -> int:
        return len(self._reads)

    def add(self, data: bytes, stamp: bytes, at_ns: int, floor_ns: int) -> None:
        """One more read."""
        self.size += len(data)
        self._reads.append(data)
        self._stamps.append(stamp)
        self._times.append(at_ns)
        self._floors.append(floor_ns)

    def tail(self, begin: int) -> bytes:
        """The bytes from position `begin` on."""
        missing, reads = self.size - begin, 0
        while missing > 0:
            reads += 1
            missing -= len(self._reads[-reads])
        return b"".join(self._reads[len(self._reads) - reads :])[-missing:]

    def at_ns(self, read: int) -> int:
        """When this read was done."""
        return self._times[read]

    def last_stamp(self) -> bytes:
        """The kernel's stamp of the last read."""
        return self._stamps[-1]

    def latest_first(self) -> Iterator[tuple[bytes, int]]:
        """The bytes of each read and when it was done."""
        return zip(reversed(self._reads), reversed(self._times), strict=True)

    def columns(self) -> bytes:
        """Stamps, times, floors and lengths."""
        lengths = array("I", map(len, self._reads))
        return b"".join(
            (*self._stamps, self._times.tobytes(), self._floors.tobytes(), lengths.tobytes())
        )
