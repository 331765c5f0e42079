"""The innermost loop in C (wire.c), where it was built: a third less processor time."""

from __future__ import annotations

import ctypes
import errno
import os
import select
from collections.abc import Iterator
from typing import cast

from nightbench.load.drive.kernel_clock import now_ns
from nightbench.load.drive.reads import Reads
from nightbench.load.drive.wire import CROWD, Events, PlainWire, Wire
from nightbench.load.native.parts import load_library


def open_wire(epoll: select.epoll, *, compiled: bool = True) -> Wire:
    """The loop in C, or where it was not built (or not wanted) the one in Python."""
    library = load_library("wire") if compiled else None
    return PlainWire(epoll) if library is None else CompiledWire(epoll, library)


class _Reads(ctypes.Structure):
    """struct reads."""

    _fields_ = (
        ("count", ctypes.c_int64),
        ("room", ctypes.c_int64),
        ("size", ctypes.c_int64),
        ("data_room", ctypes.c_int64),
        ("most", ctypes.c_int64),
        ("stamps", ctypes.c_void_p),
        ("times", ctypes.c_void_p),
        ("floors", ctypes.c_void_p),
        ("lengths", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
    )


class _Wire(ctypes.Structure):
    """struct wire."""

    _fields_ = (
        ("epoll_fd", ctypes.c_int32),
        ("fds", ctypes.c_int32),
        ("of_fd", ctypes.c_void_p),
        ("all_seen_ns", ctypes.c_int64),
    )


class _Poll(ctypes.Structure):
    """struct poll."""

    _fields_ = (
        ("woke_ns", ctypes.c_int64),
        ("floor_ns", ctypes.c_int64),
        ("arrived", ctypes.c_int64),
        ("events", ctypes.c_int32 * (2 * CROWD)),
    )


class CompiledReads:
    """Reads kept where C can add to them."""

    __slots__ = ("_library", "struct")

    def __init__(self, library: ctypes.CDLL, most_bytes: int) -> None:
        self.struct = _Reads(most=most_bytes)
        self._library = library

    def __del__(self) -> None:
        self._library.wire_free(ctypes.byref(self.struct))

    def __len__(self) -> int:
        return cast(int, self.struct.count)

    @property
    def size(self) -> int:
        """Bytes read."""
        return cast(int, self.struct.size)

    @property
    def most_bytes(self) -> int:
        """How much is kept."""
        return cast(int, self.struct.most)

    def allow(self, most_bytes: int) -> None:
        """Keep so much from now on."""
        self.struct.most = most_bytes

    def cut(self, most_bytes: int) -> None:
        """Forget all but the first reads, of so many bytes at most."""
        self._library.wire_cut(ctypes.byref(self.struct), ctypes.c_int64(most_bytes))

    def add(self, data: bytes, stamp: bytes, at_ns: int, floor_ns: int) -> bool:
        """One more read; False where there may be no more."""
        problem = self._library.wire_add(
            ctypes.byref(self.struct),
            data,
            len(data),
            stamp,
            ctypes.c_int64(at_ns),
            ctypes.c_int64(floor_ns),
        )
        if problem and problem != errno.EMSGSIZE:
            raise MemoryError("out of memory for a server's responses")
        return not problem

    def tail(self, begin: int) -> bytes:
        """The bytes from position `begin` on."""
        return self._bytes("data", begin, self.size)

    def at_ns(self, read: int) -> int:
        """When this read was done; negative: counted from the last."""
        position = read % len(self)
        return int.from_bytes(self._bytes("times", 8 * position, 8 * position + 8), "little")

    def last_stamp(self) -> bytes:
        """The kernel's stamp of the last read."""
        end = 16 * len(self)
        return self._bytes("stamps", end - 16, end)

    def latest_first(self) -> Iterator[tuple[bytes, int]]:
        """The bytes of each read and when it was done."""
        lengths = memoryview(self._bytes("lengths", 0, 4 * len(self))).cast("I")
        end = self.size
        for read in reversed(range(len(self))):
            begin = end - lengths[read]
            yield self._bytes("data", begin, end), self.at_ns(read)
            end = begin

    def columns(self) -> bytes:
        """Stamps, times, floors and lengths, as they stand in a raw record."""
        widths = (("stamps", 16), ("times", 8), ("floors", 8), ("lengths", 4))
        return b"".join(self._bytes(name, 0, width * len(self)) for name, width in widths)

    def _bytes(self, name: str, begin: int, end: int) -> bytes:
        if begin == end:
            return b""
        return ctypes.string_at(getattr(self.struct, name) + begin, end - begin)


class CompiledWire:
    """Reads the sockets that were handed over in C, and tells of the rest."""

    def __init__(self, epoll: select.epoll, library: ctypes.CDLL) -> None:
        self.woke_ns = self.floor_ns = self.arrived = 0
        self._library = library
        self._wire = _Wire(epoll.fileno(), 0, None, now_ns())
        self._poll = _Poll()
        self._events = memoryview(self._poll.events).cast("B").cast("i")

    def reads(self, most_bytes: int) -> CompiledReads:
        """Where the reads of one answer go."""
        return CompiledReads(self._library, most_bytes)

    def hand_over(self, fd: int, reads: Reads) -> None:
        """Read this socket from now on; an event with mask 0 says that the answer may be over."""
        struct = ctypes.byref(cast(CompiledReads, reads).struct)
        if not self._library.wire_hand_over(ctypes.byref(self._wire), fd, struct):
            raise MemoryError("out of memory for another connection")

    def take_back(self, fd: int) -> None:
        """Leave this socket alone."""
        self._library.wire_hand_over(ctypes.byref(self._wire), fd, None)

    def poll(self, wait_ms: int) -> Events:
        """What the loop has to look at, `CROWD` sockets at most."""
        found = self._poll
        kept = self._library.wire_poll(ctypes.byref(self._wire), wait_ms, ctypes.byref(found))
        if kept < 0:
            raise OSError(-kept, os.strerror(-kept))
        self.woke_ns, self.floor_ns, self.arrived = found.woke_ns, found.floor_ns, found.arrived
        flat = self._events[: 2 * kept].tolist()
        return list(zip(flat[::2], flat[1::2], strict=True))
