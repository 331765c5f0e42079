"""The raw records of a level, read back for parsing (`nightbench.load.rawlog` has the layout)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nightbench.load.rawlog import HEADER, HEADER_FIELDS, READ_BYTES, SIZES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

_SECOND = 1_000_000_000
_BLOCK_BYTES = 1 << 25


@dataclass(frozen=True, slots=True)
class RawRequest:
    """One record, as far as its answer goes."""

    index: int
    cause: int
    lengths: Integers  # bytes of each read
    data: bytes  # of all reads
    error: str

    @property
    def reads(self) -> list[bytes]:
        """The bytes of each read."""
        ends = np.cumsum(self.lengths).tolist()
        return [self.data[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


@dataclass(frozen=True)
class RawRequests:
    """Some records of one process, by column; good until the next ones are asked for.

    Times are CLOCK_MONOTONIC ns, but kernel stamps are CLOCK_REALTIME; 0: never, none. The reads of
    record i are those from `first_reads[i]` up to `first_reads[i + 1]`. `floors`: nothing of that
    read can have arrived before it (the previous poll of a busy loop); 0 where the loop slept until
    it arrived.
    """

    block: bytearray
    fields: NDArray[np.void]  # of `rawlog.HEADER_FIELDS`
    ends: Integers  # of the records in the block
    first_reads: Integers
    stamps: Integers
    times: Integers
    floors: Integers
    lengths: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.fields)

    def __getitem__(self, name: str) -> NDArray[np.int64]:
        """A field of the header, of all records."""
        column: NDArray[np.int64] = self.fields[name]
        return column

    @cached_property
    def data_begins(self) -> Integers:
        """Where each answer begins in the block; it ends with its record."""
        begins: Integers = self.ends - self.fields["data_bytes"].astype(np.int64)
        return begins

    def request(self, number: int) -> RawRequest:
        """One of them, whole."""
        begin, end = int(self.data_begins[number]), int(self.ends[number])
        fields = self.fields[number]
        reads = slice(self.first_reads[number], self.first_reads[number + 1])
        return RawRequest(
            index=int(fields["index"]),
            cause=int(fields["cause"]),
            lengths=self.lengths[reads].astype(np.int64),
            data=bytes(memoryview(self.block)[begin:end]),
            error=self.block[begin - int(fields["error_bytes"]) : begin].decode(errors="replace"),
        )


def read_log(path: Path, block_bytes: int = _BLOCK_BYTES) -> Iterator[RawRequests]:
    """The records of one process, in the order the requests ended. A torn last one is left out."""
    block, held = bytearray(block_bytes), 0
    with path.open("rb", buffering=0) as file:
        while True:
            got = file.readinto(memoryview(block)[held:])
            held += got
            starts, end = _starts(block, held)
            if starts:
                yield _columns(block, starts, end)
                block[: held - end] = block[end:held]
                held -= end
            elif held == len(block):
                block += bytes(len(block))  # one record is larger than all this
            if not got:
                return


def _starts(block: bytearray, held: int) -> tuple[list[int], int]:
    """Where the whole records begin that lie in the first `held` bytes, and where the last ends."""
    starts, at = [], 0
    while at + HEADER.size <= held:
        said, reads, data = SIZES.unpack_from(block, at)
        end = at + HEADER.size + reads * READ_BYTES + said + data
        if end > held:
            break
        starts.append(at)
        at = end
    return starts, at


def _columns(block: bytearray, starts: list[int], end: int) -> RawRequests:
    view = memoryview(block)
    begins = np.array(starts, dtype=np.int64)
    fields = np.frombuffer(
        b"".join([view[at : at + HEADER.size] for at in starts]), dtype=HEADER_FIELDS
    )
    reads = fields["reads"].astype(np.int64)

    def gather(skipped: int, width: int) -> bytes:
        """What each record has `width` bytes a read of, behind `skipped` bytes a read."""
        first = begins + HEADER.size + skipped * reads
        spans = zip(first.tolist(), (first + width * reads).tolist(), strict=True)
        return b"".join([view[begin:end] for begin, end in spans])

    parts = np.frombuffer(gather(0, 16), "<i8")
    return RawRequests(
        block=block,
        fields=fields,
        ends=np.append(begins[1:], end),
        first_reads=np.concatenate(([0], reads.cumsum())),
        stamps=parts[::2] * _SECOND + parts[1::2],
        times=np.frombuffer(gather(16, 8), "<i8"),
        floors=np.frombuffer(gather(24, 8), "<i8"),
        lengths=np.frombuffer(gather(32, 4), "<u4"),
    )
