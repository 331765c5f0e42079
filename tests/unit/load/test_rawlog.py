"""The raw record on disk."""

from __future__ import annotations

from pathlib import Path

from nightbench.load.raw_requests import read_log
from nightbench.load.rawlog import NO_STAMP, Cause, pack
from nightbench.load.reads import PlainReads

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
    assert (found.index, found.cause, found.fresh_connection) == (3, Cause.EOF, True)
    assert (found.scheduled_ns, found.sent_ns, found.connect_ns, found.ended_ns) == (1, 2, 3, 4)
    assert found.stamps.tolist() == [5_000_000_006, 0]
    assert (found.times.tolist(), found.floors.tolist()) == ([7, 8], [9, 0])
    assert found.reads == [b"first", "zweites ü".encode()]
    assert found.error == "é went wrong"


def test_a_record_torn_anywhere_is_left_out_and_the_ones_before_it_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "log.raw"
    for torn in (1, 10, len(RECORD) - 1):
        path.write_bytes(RECORD + RECORD[:torn])
        assert len(list(read_log(path))) == 1
