"""The raw records of a level, read back for parsing (`nightbench.load.rawlog` has the layout)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nightbench.load.rawlog import HEADER, READ_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RawRequest:
    """One record. Times are CLOCK_MONOTONIC ns, but kernel stamps are CLOCK_REALTIME.

    `floors[i]`: nothing of read i can have arrived before it (the previous poll of a busy loop);
    0 where the loop slept until read i arrived.
    """

    index: int
    cause: int
    fresh_connection: bool
    scheduled_ns: int
    sent_ns: int
    connect_ns: int
    ended_ns: int
    stamps: Integers  # 0: none
    times: Integers
    floors: Integers
    lengths: Integers  # bytes of each read
    data: bytes  # of all reads
    error: str

    @property
    def reads(self) -> list[bytes]:
        """The bytes of each read."""
        ends = np.cumsum(self.lengths).tolist()
        return [self.data[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def read_log(path: Path) -> Iterator[RawRequest]:
    """The records of one process, in the order the requests ended. A torn last one is left out."""
    with path.open("rb", buffering=1 << 20) as file:
        while True:
            head = file.read(HEADER.size)
            if len(head) < HEADER.size:
                return
            fields = HEADER.unpack(head)
            reads, said, data = fields[4], fields[3], fields[6]
            size = reads * READ_BYTES + said + data
            payload = file.read(size)
            if len(payload) < size:
                return
            yield _unpack(fields, payload)


def _unpack(fields: tuple[int, ...], payload: bytes) -> RawRequest:
    n, said = fields[4], fields[3]
    parts = np.frombuffer(payload, "<i8", 2 * n)
    times = np.frombuffer(payload, "<i8", 2 * n, 16 * n)
    lengths = np.frombuffer(payload, "<u4", n, 32 * n)
    text = READ_BYTES * n
    return RawRequest(
        index=fields[0],
        cause=fields[1],
        fresh_connection=bool(fields[2]),
        scheduled_ns=fields[7],
        sent_ns=fields[8],
        connect_ns=fields[9],
        ended_ns=fields[10],
        stamps=parts[::2] * _SECOND + parts[1::2],
        times=times[:n],
        floors=times[n:],
        lengths=lengths.astype(np.int64),
        data=payload[text + said :],
        error=payload[text : text + said].decode(errors="replace"),
    )
