"""The innermost loop, in C and in Python: what it reads, and what it leaves to the loop."""

from __future__ import annotations

import errno
import select
import shutil
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightbench.load.drive.kernel_clock import SO_TIMESTAMPNS, realtime_offset_ns
from nightbench.load.drive.rawlog import NO_STAMP
from nightbench.load.drive.reads import MARK_BYTES, PlainReads, Reads
from nightbench.load.drive.wire import CROWD, PlainWire
from nightbench.load.native.parts import load_library
from nightbench.load.native.wire_loop import CompiledReads, CompiledWire, open_wire

pytestmark = pytest.mark.skipif(
    load_library("wire") is None and shutil.which("cc") is None,
    reason="there is no C compiler",
)
CHUNK = b"5\r\ndata:\r\n"
LAST = b"0\r\n\r\n"
SOON_MS = 1000
PLENTY_BYTES = 1 << 40


@dataclass
class Line:
    """A server's end and the generator's, which the wire reads."""

    server: socket.socket
    client: socket.socket
    wire: CompiledWire
    reads: Reads


@pytest.fixture
def line() -> Iterator[Line]:
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    client.setblocking(False)
    client.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    with listener, client, server, select.epoll() as epoll:
        wire = open_wire(epoll)
        assert isinstance(wire, CompiledWire), "reinstall nightbench: the wire was not built"
        epoll.register(client, select.EPOLLIN)
        reads = wire.reads(PLENTY_BYTES)
        wire.hand_over(client.fileno(), reads)
        yield Line(server, client, wire, reads)


def test_chunks_are_taken_in_without_a_word(line: Line) -> None:
    for number in range(1, 4):
        before_ns = time.perf_counter_ns()
        line.server.send(CHUNK)
        assert line.wire.poll(SOON_MS) == []
        assert (line.wire.arrived, len(line.reads)) == (1, number)
        assert before_ns < line.reads.at_ns(-1) <= time.perf_counter_ns()
    assert line.reads.tail(0) == 3 * CHUNK
    assert line.reads.tail(len(CHUNK)) == 2 * CHUNK


def test_a_read_has_the_kernels_stamp(line: Line) -> None:
    stamp = NO_STAMP
    while stamp == NO_STAMP:  # from a moment after the first socket asked for it
        line.server.send(CHUNK)
        line.wire.poll(SOON_MS)
        stamp = line.reads.last_stamp()
    seconds, nanoseconds = struct.unpack("<qq", stamp)
    _, offset_ns = realtime_offset_ns()
    late_ns = line.reads.at_ns(-1) - (seconds * 10**9 + nanoseconds - offset_ns)
    assert -(10**6) < late_ns < 10**9


@pytest.mark.parametrize("piece", [CHUNK + LAST, b"\r\n", b"x"], ids=["last", "cut", "tiny"])
def test_what_may_be_the_end_is_read_and_told(line: Line, piece: bytes) -> None:
    line.server.send(piece)
    assert line.wire.poll(SOON_MS) == [(line.client.fileno(), 0)]
    assert line.reads.tail(0) == piece


def test_the_end_of_the_connection_is_left_to_be_read_again(line: Line) -> None:
    line.server.close()
    assert line.wire.poll(SOON_MS) == [(line.client.fileno(), select.EPOLLIN)]
    assert line.client.recv(1) == b""
    assert len(line.reads) == 0


def test_a_reset_is_left_to_be_read(line: Line) -> None:
    line.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.server.close()
    ((fd, mask),) = line.wire.poll(SOON_MS)
    assert fd == line.client.fileno()
    assert mask & (select.EPOLLERR | select.EPOLLHUP)
    with pytest.raises(ConnectionResetError):
        line.client.recv(1)


def test_a_socket_taken_back_is_the_loops_own_again(line: Line) -> None:
    line.wire.take_back(line.client.fileno())
    line.server.send(CHUNK)
    assert line.wire.poll(SOON_MS) == [(line.client.fileno(), select.EPOLLIN)]
    assert line.client.recv(100) == CHUNK


def test_nothing_in_time_is_no_event(line: Line) -> None:
    assert line.wire.poll(1) == []
    assert line.wire.arrived == 0


@pytest.mark.parametrize("wait_ms", [0, SOON_MS])
def test_a_loop_that_did_not_sleep_knows_a_floor(line: Line, wait_ms: int) -> None:
    def has_floor() -> bool:
        line.wire.poll(0)
        seen_ns = line.wire.woke_ns
        line.server.send(CHUNK)
        line.wire.poll(wait_ms)
        return line.wire.floor_ns == seen_ns

    assert any(has_floor() for _ in range(50))  # it may lose the processor in between


def test_a_loop_that_slept_knows_none(line: Line) -> None:
    line.wire.poll(5)
    assert line.wire.floor_ns == 0


@given(
    st.lists(
        st.tuples(
            st.binary(min_size=1, max_size=300),
            st.binary(min_size=16, max_size=16),
            st.integers(1, 2**62),
            st.integers(0, 2**62),
        ),
        min_size=1,
        max_size=80,
    ),
    st.floats(0, 1),
)
def test_both_keep_the_same_of_the_same_reads(
    reads: list[tuple[bytes, bytes, int, int]], share: float
) -> None:
    library = load_library("wire")
    assert library is not None
    plain, compiled = PlainReads(), CompiledReads(library, PLENTY_BYTES)
    for read in reads:
        plain.add(*read)
        compiled.add(*read)
    begin = round(share * plain.size)
    for kept in (plain, compiled):
        assert (len(kept), kept.size) == (len(reads), sum(len(read[0]) for read in reads))
    assert compiled.tail(begin) == plain.tail(begin)
    assert compiled.columns() == plain.columns()
    assert compiled.last_stamp() == plain.last_stamp()
    assert list(compiled.latest_first()) == list(plain.latest_first())
    assert (compiled.at_ns(0), compiled.at_ns(-1)) == (plain.at_ns(0), plain.at_ns(-1))


def test_an_answer_that_gets_too_large_is_told_and_read_no_further(line: Line) -> None:
    line.reads.allow(5 * len(CHUNK))
    line.server.send(6 * CHUNK)
    assert line.wire.poll(SOON_MS) == []
    line.server.send(CHUNK)
    assert line.wire.poll(SOON_MS) == [(line.client.fileno(), -errno.EMSGSIZE)]
    assert line.reads.size == 6 * len(CHUNK)
    line.reads.allow(PLENTY_BYTES)
    assert line.wire.poll(SOON_MS) == []
    assert line.reads.tail(0) == 7 * CHUNK


def test_so_many_tiny_reads_that_their_marks_are_too_much_are_too_large(line: Line) -> None:
    line.reads.allow(10 * MARK_BYTES)
    told = []
    for _ in range(12):
        line.server.send(b"1234")
        told += line.wire.poll(SOON_MS)
    assert told == [(line.client.fileno(), -errno.EMSGSIZE)]
    assert len(line.reads) == 11


@given(
    st.lists(st.integers(1, 4096), min_size=1, max_size=60),
    st.integers(0, 30_000),
    st.integers(0, 30_000),
    st.integers(0, 30_000),
)
def test_both_stop_at_the_same_read_and_are_cut_alike(
    sizes: list[int], most_bytes: int, then_bytes: int, kept_bytes: int
) -> None:
    library = load_library("wire")
    assert library is not None
    both = (PlainReads(most_bytes), CompiledReads(library, most_bytes))

    def add_all() -> list[list[bool]]:
        return [[r.add(b"x" * size, bytes(16), n, 0) for n, size in enumerate(sizes)] for r in both]

    for allowed in (most_bytes, most_bytes + then_bytes):
        for reads in both:
            reads.allow(allowed)
        plain, compiled = add_all()
        assert plain == compiled
        assert both[0].size <= allowed + 4096
    for reads in both:
        reads.cut(kept_bytes)
        assert reads.size <= kept_bytes
    assert both[0].columns() == both[1].columns()
    assert both[0].tail(0) == both[1].tail(0)
    plain, compiled = add_all()
    assert plain == compiled
    assert both[0].columns() == both[1].columns()


@pytest.mark.parametrize("compiled", [True, False], ids=["in C", "in Python"])
def test_more_sockets_than_a_poll_holds_all_have_their_turn_and_an_honest_floor(
    compiled: bool,
) -> None:
    """What the first poll left waiting may have arrived before it. And a table of sockets grows."""
    with select.epoll() as epoll, ExitStack() as opened:
        wire = open_wire(epoll, compiled=compiled)
        wire.poll(0)
        seen_ns, kept = wire.woke_ns, []
        for _ in range(CROWD + 44):
            client, server = map(opened.enter_context, socket.socketpair())
            epoll.register(client, select.EPOLLIN)
            kept.append(wire.reads(PLENTY_BYTES))
            wire.hand_over(client.fileno(), kept[-1])
            server.send(CHUNK)
        polls = [(len(wire.poll(0)), wire.arrived, wire.floor_ns) for _ in range(2)]
        told = [0, 0] if compiled else [CROWD, CROWD]
        assert [poll[0] for poll in polls] == told
        assert polls[0][1:] == (CROWD, seen_ns)
        assert polls[1][2] == seen_ns
        if compiled:
            assert polls[1][1] == 44
            assert {reads.tail(0) for reads in kept} == {CHUNK}
            wire.poll(0)
            assert wire.floor_ns > seen_ns


def test_where_it_was_not_built_or_is_not_wanted_the_loop_is_in_python() -> None:
    with select.epoll() as epoll:
        assert isinstance(open_wire(epoll, compiled=False), PlainWire)
