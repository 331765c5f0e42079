"""The HTTP response in the reads of a request, and which of its bytes came with which read."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httptools
import numpy as np

from nightbench.load.drive.rawlog import Cause
from nightbench.untrusted.inflate import Inflater, can_inflate
from nightbench.untrusted.limits import DEFAULT_LIMITS, TooLarge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightbench.load.parse.raw_records import RawRequest

    Integers = NDArray[np.int64]

# What httptools raises: an upgrade to another protocol is no answer either.
NO_ANSWER = (httptools.HttpParserError, httptools.HttpParserUpgrade)
ERROR = 300  # what such an answer says is told as it came
FINAL = 200  # a status below is an interim response's (RFC 9110, 15.2)
_AT_ONCE_BYTES = 4_000_000  # a larger answer may be in so many pieces that each costs more than it
_BLANK_LINE = b"\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_HEX_DIGIT_MORE = 16 ** np.arange(1, 9)  # a chunk size from here on needs one digit more


@dataclass(frozen=True, slots=True)
class Response:
    """A response, as far as it came. `body_ends[i]`: so much of the body was there with read i."""

    status: int | None
    headers: dict[str, str]  # by lower-case name
    body: bytes  # without chunking and compression
    body_ends: Integers
    complete: bool
    broken: tuple[str, str] | None = None  # (error kind, what is wrong): HTTP or compression

    @property
    def ends_with_connection(self) -> bool:
        """Whether only the connection's end says that the body is over."""
        return "content-length" not in self.headers and "transfer-encoding" not in self.headers

    def reads_of(self, ends: list[int]) -> list[int]:
        """The read that each of these positions of the body, ascending, was reached with."""
        found: list[int] = self.body_ends.searchsorted(ends).tolist()
        return found


def response_of(raw: RawRequest, most_bytes: int = DEFAULT_LIMITS.answer_bytes) -> Response:
    """Parse what came, unpacked to `most_bytes` at most. Never raises for what a server sent."""
    is_usual = raw.cause == Cause.COMPLETE and len(raw.data) <= _AT_ONCE_BYTES
    return (is_usual and _parse_at_once(raw)) or _parse_read_by_read(raw, most_bytes)


class _Taker:
    """Takes what httptools finds of the final response; interim ones come before it."""

    def __init__(self) -> None:
        self.status_now: Callable[[], int] = int
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.complete = False

    def on_message_begin(self) -> None:
        if not self.complete:
            self.headers.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.complete:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if not self.complete:
            self.status = self.status_now()

    def on_message_complete(self) -> None:
        if not self.complete and (self.status or 0) < FINAL:
            self.status = None  # nothing of an interim response is the answer's
            self.headers.clear()
        else:
            self.complete = True


class _PlainTaker(_Taker):
    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []  # of the body
        self.on_body = self.pieces.append


class _DecodingTaker(_Taker):
    """Undoes compression as it goes, so that what came with a read is known."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self.body = bytearray()
        self._inflater: Inflater | None = None
        self._most_bytes = most_bytes

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        encoding = self.headers.get("content-encoding", "")
        if can_inflate(encoding):
            self._inflater = Inflater(encoding, self._most_bytes)
        elif encoding.strip().lower() not in ("", "identity") and self.status_now() < ERROR:
            raise ValueError(f"it is encoded as {encoding[:40]}, which was not requested")

    def on_body(self, data: bytes) -> None:
        self.body += data if self._inflater is None else self._inflater.feed(data)


@contextmanager
def _parsed_into(taker: _Taker) -> Iterator[Callable[[bytes | memoryview], None]]:
    """A parser's `feed_data`; what it raises is `NO_ANSWER`."""
    parser = httptools.HttpResponseParser(taker)
    taker.status_now = parser.get_status_code
    try:
        yield parser.feed_data
    finally:
        if taker.status is None and taker.headers:
            status = parser.get_status_code()  # of a head that has no end
            taker.status = status if status >= FINAL else None
        taker.status_now = int  # a circle of references would keep the answer for long


def _parse_read_by_read(raw: RawRequest, most_bytes: int) -> Response:
    """What can be said of any response, whole or not."""
    taker, broken = _DecodingTaker(most_bytes), None
    ends = array("q")
    try:
        with _parsed_into(taker) as feed:
            for read in raw.reads:
                feed(read)
                ends.append(len(taker.body))
    except NO_ANSWER as error:
        broken = _what_broke(error)
    body_ends = np.full(len(raw.lengths), len(taker.body), dtype=np.int64)
    body_ends[: len(ends)] = ends
    body = bytes(taker.body)
    return Response(taker.status, taker.headers, body, body_ends, taker.complete, broken)


def _what_broke(error: Exception) -> tuple[str, str]:
    """Apart from where it is caught: a frame that refers to its error is not freed for long."""
    cause = error.__context__
    if isinstance(cause, TooLarge):
        return "too_large", str(cause)
    return "malformed", str(cause or error)  # a cause is ours: the parser knows of a callback only


def _parse_at_once(raw: RawRequest) -> Response | None:
    """A whole response in one go, a sixth of the work; None where it is not as plain as most."""
    taker = _PlainTaker()
    try:
        with _parsed_into(taker) as feed:
            feed(raw.data)
    except NO_ANSWER:
        return None
    if not taker.complete or "content-encoding" in taker.headers or not taker.pieces:
        return None
    sizes = np.fromiter(map(len, taker.pieces), np.int64, len(taker.pieces))
    begins, end = _positions(taker, sizes, raw.data.find(_BLANK_LINE) + len(_BLANK_LINE))
    if end != len(raw.data):
        return None  # chunk extensions, trailers or an interim response: not where it was thought
    ends = sizes.cumsum()
    # A read that ends inside a piece has so much of it: the positions run in step.
    positions, amounts = np.empty((2, 2 * len(sizes)), dtype=np.int64)
    positions[::2], positions[1::2] = begins, begins + sizes
    amounts[::2], amounts[1::2] = ends - sizes, ends
    body_ends = np.interp(raw.lengths.cumsum(), positions, amounts)
    body = b"".join(taker.pieces)
    return Response(taker.status, taker.headers, body, body_ends.astype(np.int64), complete=True)


def _positions(taker: _PlainTaker, sizes: Integers, head: int) -> tuple[Integers, int]:
    """(where each piece of the body begins in the response, where the response ends then)."""
    if "chunked" not in taker.headers.get("transfer-encoding", "").lower():
        ends = sizes.cumsum() + head
        return ends - sizes, int(ends[-1])
    digits = _HEX_DIGIT_MORE.searchsorted(sizes, side="right") + 1
    ends = (digits + sizes + 4).cumsum() + head  # size, CRLF, data, CRLF
    return ends - 2 - sizes, int(ends[-1]) + len(_LAST_CHUNK)
