"""Every read of one answer, with its stamps, as it came."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Protocol

MARK_BYTES = 16 + 8 + 8 + 4  # of each read, beside what it read: stamp, time, floor, length


class Reads(Protocol):
    """What has been read of an answer. Times are CLOCK_MONOTONIC ns."""

    @property
    def size(self) -> int:
        """Bytes read."""

    def __len__(self) -> int:
        """How many reads there were."""

    @property
    def most_bytes(self) -> int:
        """How much is kept, each read counted with its marks (`MARK_BYTES`)."""

    def allow(self, most_bytes: int) -> None:
        """Keep so much from now on."""

    def cut(self, most_bytes: int) -> None:
        """Forget all but the first reads, of so many bytes at most."""

    def add(self, data: bytes, stamp: bytes, at_ns: int, floor_ns: int) -> bool:
        """One more read, of a few kilobytes; False, and nothing kept, where the answer has got too
        large. `stamp` and `floor_ns` as in `nightbench.load.drive.rawlog`."""

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

    __slots__ = ("_floors", "_reads", "_stamps", "_times", "most_bytes", "size")

    def __init__(self, most_bytes: int = 1 << 62) -> None:
        self.size = 0
        self.most_bytes = most_bytes
        self._reads: list[bytes] = []
        self._stamps: list[bytes] = []
        self._times, self._floors = array("q"), array("q")

    def __len__(self) -> int:
        return len(self._reads)

    def allow(self, most_bytes: int) -> None:
        """Keep so much from now on."""
        self.most_bytes = most_bytes

    def cut(self, most_bytes: int) -> None:
        """Forget all but the first reads, of so many bytes at most."""
        ends = [*accumulate(map(len, self._reads))]
        count = bisect_right(ends, most_bytes)
        self.size = ends[count - 1] if count else 0
        for column in (self._reads, self._stamps, self._times, self._floors):
            del column[count:]

    def add(self, data: bytes, stamp: bytes, at_ns: int, floor_ns: int) -> bool:
        """One more read."""
        if self.size > self.most_bytes or len(self._reads) * MARK_BYTES > self.most_bytes:
            return False
        self.size += len(data)
        self._reads.append(data)
        self._stamps.append(stamp)
        self._times.append(at_ns)
        self._floors.append(floor_ns)
        return True

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
