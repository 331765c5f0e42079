"""The raw records of a level, read back for parsing (layout: `nightbench.load.drive.rawlog`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nightbench.load.drive.rawlog import ALIGNED_BYTES, HEADER, HEADER_FIELDS, SIZES
from nightbench.load.drive.reads import MARK_BYTES

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
    def reads(self) -> Iterator[memoryview]:
        """The bytes of each read."""
        data, begin = memoryview(self.data), 0
        for length in self.lengths.tolist():
            yield data[begin : begin + length]
            begin += length


@dataclass(frozen=True)
class RawRequestArrays:
    """Some records of one process, n of them with r reads; good until the next ones are asked for.

    Times are CLOCK_MONOTONIC ns, but kernel stamps are CLOCK_REALTIME; 0: never, none.
    `fields`: shape (n,), of `rawlog.HEADER_FIELDS`. `begins`: shape (n,), int64, where each is in
    the block. `first_reads`: shape (n + 1,), int64; the reads of record i are those from
    `first_reads[i]` up to `first_reads[i + 1]`.
    `stamps`, `times`: shape (r,), int64, ns, the kernel's and the loop's. `floors`: the same;
    nothing of that read can have arrived before it (the previous poll of a busy loop); 0 where the
    loop slept until it arrived. `lengths`: shape (r,), uint32, bytes.
    """

    block: bytearray
    fields: NDArray[np.void]
    begins: Integers
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
        """Where each answer begins in the block."""
        before = self["reads"].astype(np.int64) * MARK_BYTES + self["error_bytes"]
        begins: Integers = self.begins + HEADER.size + before
        return begins

    def request(self, number: int) -> RawRequest:
        """One of them, whole."""
        fields = self.fields[number]
        begin = int(self.data_begins[number])
        end = begin + int(fields["data_bytes"])
        reads = slice(self.first_reads[number], self.first_reads[number + 1])
        return RawRequest(
            index=int(fields["index"]),
            cause=int(fields["cause"]),
            lengths=self.lengths[reads].astype(np.int64),
            data=bytes(memoryview(self.block)[begin:end]),
            error=self.block[begin - int(fields["error_bytes"]) : begin].decode(errors="replace"),
        )


def read_log(path: Path, block_bytes: int = _BLOCK_BYTES) -> Iterator[RawRequestArrays]:
    """The records of one process, in the order the requests ended. A torn last one is left out."""
    block, held = bytearray(block_bytes + -block_bytes % ALIGNED_BYTES), 0
    with path.open("rb", buffering=0) as file:
        while True:
            got = file.readinto(memoryview(block)[held:])
            held += got
            starts, end = _starts(block, held)
            if starts:
                yield _columns(block, starts)
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
        end = at + HEADER.size + reads * MARK_BYTES + said + data
        end += -end % ALIGNED_BYTES
        if end > held:
            break
        starts.append(at)
        at = end
    return starts, at


def _columns(block: bytearray, starts: list[int]) -> RawRequestArrays:
    begins = np.array(starts, dtype=np.int64)
    words = begins // 8
    header = np.frombuffer(block, "<i8")[words[:, None] + np.arange(HEADER.size // 8)]
    fields = header.view(HEADER_FIELDS).reshape(-1)
    reads = fields["reads"].astype(np.int64)
    first = words + HEADER.size // 8
    parts = _gather(block, "<i8", first, 2 * reads)
    return RawRequestArrays(
        block=block,
        fields=fields,
        begins=begins,
        first_reads=np.concatenate(([0], reads.cumsum())),
        stamps=parts[::2] * _SECOND + parts[1::2],
        times=_gather(block, "<i8", first + 2 * reads, reads),
        floors=_gather(block, "<i8", first + 3 * reads, reads),
        lengths=_gather(block, "<u4", 2 * (first + 4 * reads), reads),
    )


def _gather(block: bytearray, kind: str, first: Integers, counts: Integers) -> NDArray[Any]:
    """`counts[i]` values from the one numbered `first[i]` in the block on, for each i."""
    before = counts.cumsum() - counts
    places = np.repeat(first - before, counts) + np.arange(int(counts.sum()))
    found: NDArray[Any] = np.frombuffer(block, kind)[places]
    return found
