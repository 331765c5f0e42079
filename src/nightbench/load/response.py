"""The HTTP response in the reads of a request, and which of its bytes came with which read."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import httptools
import numpy as np

from nightbench.load.rawlog import Cause

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nightbench.load.raw_requests import RawRequest

    Integers = NDArray[np.int64]

# What httptools raises: an upgrade to another protocol is no answer either.
NO_ANSWER = (httptools.HttpParserError, httptools.HttpParserUpgrade)
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
    broken: str = ""  # what is wrong with the HTTP or its compression

    @property
    def ends_with_connection(self) -> bool:
        """Whether only the connection's end says that the body is over."""
        return "content-length" not in self.headers and "transfer-encoding" not in self.headers

    def reads_of(self, ends: list[int]) -> list[int]:
        """The read that each of these positions of the body, ascending, was reached with."""
        found: list[int] = self.body_ends.searchsorted(ends).tolist()
        return found


def response_of(raw: RawRequest) -> Response:
    """Parse what came. Never raises for what a server sent."""
    at_once = _parse_at_once(raw) if raw.cause == Cause.COMPLETE else None
    return at_once or _parse_read_by_read(raw)


class _Decoder(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...


class _Taker:
    """Takes what httptools finds."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []  # of the body, decoded
        self.complete = False
        self.on_body = self.pieces.append

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_message_complete(self) -> None:
        self.complete = True


class _DecodingTaker(_Taker):
    """Undoes compression as it goes, so that what came with a read is known."""

    def __init__(self) -> None:
        super().__init__()
        self._decoder: _Decoder | None = None
        self.on_body = self._decode

    def on_headers_complete(self) -> None:
        if self.headers.get("content-encoding", "") in ("gzip", "x-gzip", "deflate"):
            self._decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def _decode(self, data: bytes) -> None:
        self.pieces.append(data if self._decoder is None else self._decoder.decompress(data))


def _parse_read_by_read(raw: RawRequest) -> Response:
    """What can be said of any response, whole or not."""
    taker, broken = _DecodingTaker(), ""
    parser = httptools.HttpResponseParser(taker)
    ends: list[int] = []
    size = taken = 0
    try:
        for read in raw.reads:
            parser.feed_data(read)
            size += sum(map(len, taker.pieces[taken:]))
            taken = len(taker.pieces)
            ends.append(size)
    except NO_ANSWER as error:
        broken = f"{error}{f': {error.__context__}' if error.__context__ else ''}"
    body = b"".join(taker.pieces)
    ends += [len(body)] * (len(raw.reads) - len(ends))
    status = parser.get_status_code() if taker.headers else None
    body_ends = np.array(ends, dtype=np.int64)
    return Response(status, taker.headers, body, body_ends, taker.complete, broken)


def _parse_at_once(raw: RawRequest) -> Response | None:
    """A whole response in one go, a sixth of the work; None where it is not as plain as most."""
    taker = _Taker()
    parser = httptools.HttpResponseParser(taker)
    try:
        parser.feed_data(raw.data)
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
    status, body = parser.get_status_code(), b"".join(taker.pieces)
    return Response(status, taker.headers, body, body_ends.astype(np.int64), complete=True)


def _positions(taker: _Taker, sizes: Integers, head: int) -> tuple[Integers, int]:
    """(where each piece of the body begins in the response, where the response ends then)."""
    if "chunked" not in taker.headers.get("transfer-encoding", "").lower():
        ends = sizes.cumsum() + head
        return ends - sizes, int(ends[-1])
    digits = _HEX_DIGIT_MORE.searchsorted(sizes, side="right") + 1
    ends = (digits + sizes + 4).cumsum() + head  # size, CRLF, data, CRLF
    return ends - 2 - sizes, int(ends[-1]) + len(_LAST_CHUNK)
