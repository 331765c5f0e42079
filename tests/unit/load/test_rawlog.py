"""The raw record on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightbench.load.drive.rawlog import NO_STAMP, Cause, pack
from nightbench.load.drive.reads import PlainReads
from nightbench.load.parse.raw_records import read_log

READS = PlainReads()
READS.add(b"first", (5).to_bytes(8, "little") + (6).to_bytes(8, "little"), 7, 9)
READS.add("zweites ü".encode(), NO_STAMP, 8, 0)
RECORD = pack(
    index=3,
    cause=Cause.EOF,
    fresh_connection=True,
    scheduled_ns=1,
    sent_ns=2,
    connect_ns=3,
    ended_ns=4,
    reads=READS,
    error="é went wrong",
)


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log.raw"
    path.write_bytes(RECORD)
    (found,) = read_log(path)
    header = [found[name].tolist() for name in ("index", "cause", "fresh_connection")]
    assert header == [[3], [Cause.EOF], [True]]
    times = [found[f"{name}_ns"].tolist() for name in ("scheduled", "sent", "connect", "ended")]
    assert times == [[1], [2], [3], [4]]
    assert found.stamps.tolist() == [5_000_000_006, 0]
    assert (found.times.tolist(), found.floors.tolist()) == ([7, 8], [9, 0])
    request = found.request(0)
    assert [bytes(read) for read in request.reads] == [b"first", "zweites ü".encode()]
    assert (request.index, request.cause, request.error) == (3, Cause.EOF, "é went wrong")


def test_a_record_torn_anywhere_is_left_out_and_the_ones_before_it_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "log.raw"
    for torn in (1, 10, len(RECORD) - 1):
        path.write_bytes(RECORD + RECORD[:torn])
        assert sum(map(len, read_log(path))) == 1


@pytest.mark.parametrize("block_bytes", [1, len(RECORD), 2 * len(RECORD) + 3, 1 << 20])
def test_records_come_whole_whatever_a_block_holds(tmp_path: Path, block_bytes: int) -> None:
    path = tmp_path / "log.raw"
    path.write_bytes(b"".join(_numbered(index) for index in range(7)))
    seen = []
    for raws in read_log(path, block_bytes):
        for number in range(len(raws)):
            request = raws.request(number)
            assert next(request.reads) == b"x" * (request.index * 50)
            seen.append(request.index)
    assert seen == list(range(7))


def _numbered(index: int) -> bytes:
    reads = PlainReads()
    reads.add(b"x" * (index * 50), NO_STAMP, 7, 9)
    times = dict.fromkeys(("scheduled_ns", "sent_ns", "connect_ns", "ended_ns"), index)
    return pack(index=index, cause=Cause.COMPLETE, fresh_connection=False, reads=reads, **times)
