"""The raw record of a request: every read with its stamps and bytes, as it came, on disk.

A record is written when its request ends; nothing is parsed before the level is over. Layout,
little-endian: header, kernel stamps (16 bytes a read: seconds, nanoseconds; zeros where there was
none), read times, floors (int64 each), lengths (uint32 each), error text, bytes; then zeros, so
that each record begins at a multiple of 8.
"""

from __future__ import annotations

import struct

from nightbench.load.drive.reads import Reads

NO_STAMP = bytes(16)
HEADER = struct.Struct("<IBBHIIQqqqq")
HEADER_FIELDS = [
    ("index", "<u4"),
    ("cause", "u1"),
    ("fresh_connection", "?"),
    ("error_bytes", "<u2"),
    ("reads", "<u4"),
    ("flags", "<u4"),
    ("data_bytes", "<u8"),
    ("scheduled_ns", "<i8"),
    ("sent_ns", "<i8"),
    ("connect_ns", "<i8"),
    ("ended_ns", "<i8"),
]
SIZES = struct.Struct("<6xHI4xQ")  # of the header: error_bytes, reads, data_bytes
ALIGNED_BYTES = 8


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
    TOO_LARGE = 12  # the answer; the record holds how it began
    OVER = 13  # the answer, by what it says; its response stayed open


class Flag:
    """What else is known of a request."""

    RESENT = 1  # once more, on a fresh connection: the one before was closed already


def pack(
    *,
    index: int,
    cause: int,
    fresh_connection: bool,
    scheduled_ns: int,
    sent_ns: int,
    connect_ns: int,
    ended_ns: int,
    reads: Reads,
    error: str = "",
    flags: int = 0,
) -> bytes:
    """One record as bytes. A time that was never reached is 0."""
    said = error.encode()[:2000]
    header = HEADER.pack(
        index,
        cause,
        fresh_connection,
        len(said),
        len(reads),
        flags,
        reads.size,
        scheduled_ns,
        sent_ns,
        connect_ns,
        ended_ns,
    )
    columns = reads.columns()
    size = len(header) + len(columns) + len(said) + reads.size
    return b"".join((header, columns, said, reads.tail(0), bytes(-size % ALIGNED_BYTES)))
