"""The raw record of a request: every read with its stamps and bytes, as it came, on disk.

A record is written when its request ends; nothing is parsed before the level is over. Layout,
little-endian: header, kernel stamps (16 bytes a read: seconds, nanoseconds; zeros where there was
none), read times, floors (int64 each), lengths (uint32 each), error text, bytes.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

NO_STAMP = bytes(16)
_HEADER = struct.Struct("<IBBHIIQqqqq")


class Cause:
    """Why a request ended, as the generator saw it."""

    COMPLETE = 0
    EOF = 1  # the server closed the connection
    RESET = 2
    MALFORMED_HTTP = 3
    TIMEOUT_CONNECT = 4
    TIMEOUT_FIRST_TOKEN = 5
    TIMEOUT_BETWEEN_TOKENS = 6
    TIMEOUT_TOTAL = 7
    CONNECT_REFUSED = 8
    CONNECT_FAILED = 9
    TLS_FAILED = 10
    STOPPED = 11  # the level was ended while it ran


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
    stamps: Sequence[int]  # 0: none
    times: Sequence[int]
    floors: Sequence[int]
    reads: list[bytes]
    error: str


def pack(
    *,
    index: int,
    cause: int,
    fresh_connection: bool,
    scheduled_ns: int,
    sent_ns: int,
    connect_ns: int,
    ended_ns: int,
    stamps: list[bytes],
    times: list[int],
    floors: list[int],
    reads: list[bytes],
    error: str = "",
) -> bytes:
    """One record as bytes. A time that was never reached is 0."""
    said = error.encode()[:2000]
    data = b"".join(reads)
    header = _HEADER.pack(
        index,
        cause,
        fresh_connection,
        len(said),
        len(reads),
        0,
        len(data),
        scheduled_ns,
        sent_ns,
        connect_ns,
        ended_ns,
    )
    return b"".join(
        (
            header,
            *stamps,
            array("q", times).tobytes(),
            array("q", floors).tobytes(),
            array("I", map(len, reads)).tobytes(),
            said,
            data,
        )
    )


def read_log(path: Path) -> Iterator[RawRequest]:
    """The records of one process, in the order the requests ended. A torn last one is left out."""
    with path.open("rb", buffering=1 << 20) as file:
        while True:
            head = file.read(_HEADER.size)
            if len(head) < _HEADER.size:
                return
            fields = _HEADER.unpack(head)
            reads, said, data = fields[4], fields[3], fields[6]
            size = reads * (16 + 8 + 8 + 4) + said + data
            payload = file.read(size)
            if len(payload) < size:
                return
            yield _unpack(fields, payload)


def _unpack(fields: tuple[int, ...], payload: bytes) -> RawRequest:
    n, said = fields[4], fields[3]
    view = memoryview(payload)
    parts = view[: 16 * n].cast("q").tolist()
    stamps = [s * 1_000_000_000 + ns for s, ns in zip(parts[::2], parts[1::2], strict=True)]
    at = 16 * n
    times = view[at : at + 8 * n].cast("q").tolist()
    floors = view[at + 8 * n : at + 16 * n].cast("q").tolist()
    lengths = view[at + 16 * n : at + 20 * n].cast("I").tolist()
    at += 20 * n
    error = payload[at : at + said].decode(errors="replace")
    at += said
    reads = []
    for length in lengths:
        reads.append(payload[at : at + length])
        at += length
    return RawRequest(
        index=fields[0],
        cause=fields[1],
        fresh_connection=bool(fields[2]),
        scheduled_ns=fields[7],
        sent_ns=fields[8],
        connect_ns=fields[9],
        ended_ns=fields[10],
        stamps=stamps,
        times=times,
        floors=floors,
        reads=reads,
        error=error,
    )
