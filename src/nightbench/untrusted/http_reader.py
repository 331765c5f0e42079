"""Small questions to a server that may be broken or hostile: no answer is larger than its limit,
and none takes longer than its time, however slowly, long or oddly it is sent.

On the standard library's client, which every command has imported already: the load generator asks
for a server's counters before its first request, and may import nothing heavy.
"""

from __future__ import annotations

import email.utils
import http.client
import io
import math
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from nightbench.addresses import is_this_machine
from nightbench.terminal_text import safe_line
from nightbench.untrusted.limits import TooLarge, megabytes

_PART_BYTES = 65536


class NotRead(Exception):
    """No answer that can be read. `kind` is what rows call it: connect, timeout, cut, malformed or
    too_large."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """What is asked: a POST where there is a body, else a GET, unless `method` says so."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = None
    method: str | None = None
    verify_tls: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """An answer. Of one with a status of 400 or more `body` may be only how it begins."""

    status: int
    body: bytes
    retry_after_s: float | None = None
    location: str | None = None  # where a redirect points to; none is followed


def fetch(
    question: HttpRequest,
    *,
    within_s: float,
    most_bytes: int,
    most_error_bytes: int,
    clock: Callable[[], float] = time.monotonic,
) -> Page:
    """The whole answer, whatever its status. Raises NotRead."""
    with _answered(question, within_s, clock) as response:
        failed = response.status >= 400
        body = _body(response, most_error_bytes if failed else most_bytes, cut=failed)
        return Page(
            response.status,
            body,
            retry_after_s(response.headers.get("retry-after")),
            response.headers.get("location") if 300 <= response.status < 400 else None,
        )


def fetch_status(
    question: HttpRequest, *, within_s: float, clock: Callable[[], float] = time.monotonic
) -> int:
    """The status of an answer that nobody wants to read. Raises NotRead."""
    with _answered(question, within_s, clock) as response:
        return response.status


def retry_after_s(value: str | None, now: Callable[[], float] = time.time) -> float | None:
    """Seconds of a Retry-After, which is a number of them or a date; None where it is neither."""
    try:
        seconds = float(value or "")
    except ValueError:
        seconds = _seconds_until(value or "", now)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(date: str, now: Callable[[], float]) -> float:
    """NaN for what is no date of HTTP (RFC 9110, 5.6.7)."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() - now()
    except (ValueError, OverflowError, TypeError):
        return math.nan


def lines(parts: Iterable[bytes], most_bytes: int) -> Iterator[bytes]:
    """The lines of a stream, without their ends. Raises TooLarge for one that is longer."""
    begun = bytearray()
    for part in parts:
        begun += part
        if b"\n" in part:
            *whole, rest = begun.split(b"\n")
            yield from map(bytes, whole)
            begun = rest
        if len(begun) > most_bytes:
            raise TooLarge(f"a line of more than {megabytes(most_bytes)}")
    if begun:
        yield bytes(begun)


@contextmanager
def _answered(
    question: HttpRequest, within_s: float, clock: Callable[[], float]
) -> Iterator[http.client.HTTPResponse]:
    """The answer, its head read. What goes wrong with it in the block too is told as NotRead."""
    deadline = _Deadline(within_s, clock)
    try:
        request = _request(question)
        with _opener(question, deadline).open(request, timeout=deadline.left_s()) as response:
            yield response
    except urllib.error.URLError as error:
        raise _not_connected(error.reason, within_s) from None
    except TimeoutError:
        raise NotRead("timeout", f"no response within {within_s:.0f} s") from None
    except (http.client.IncompleteRead, http.client.RemoteDisconnected, OSError) as error:
        raise NotRead("cut", f"the connection broke: {_said(error)}") from None
    except (http.client.HTTPException, ValueError) as error:
        endless = type(error) in (http.client.HTTPException, http.client.LineTooLong)
        kind, what = ("too_large", "its head") if endless else ("malformed", "not HTTP")
        raise NotRead(kind, f"{what}: {_said(error)}") from None


def _request(question: HttpRequest) -> urllib.request.Request:
    if urllib.parse.urlsplit(question.url).scheme not in ("http", "https"):
        raise NotRead("connect", "not an http or https URL")
    for name, value in question.headers.items():
        if any(bad in name + value for bad in "\r\n\0"):
            raise NotRead("malformed", f"the header {name!r} cannot be sent")
    headers = {"User-Agent": "nightbench"} | dict(question.headers)
    return urllib.request.Request(  # noqa: S310 - its scheme was looked at
        question.url, question.body, headers, method=question.method
    )


def _said(error: Exception) -> str:
    return safe_line(f"{type(error).__name__}: {error}", max_chars=200)


def _not_connected(reason: object, within_s: float) -> NotRead:
    if isinstance(reason, TimeoutError):
        return NotRead("timeout", f"no connection within {within_s:.0f} s")
    return NotRead("connect", safe_line(str(reason), max_chars=200))


def _body(response: http.client.HTTPResponse, most_bytes: int, *, cut: bool) -> bytes:
    """The body; of one that is too large how it begins (`cut`), or NotRead."""
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity" and not cut:
        raise NotRead("malformed", f"it is compressed ({encoding[:40]}), which was not requested")
    parts, left_bytes = [], most_bytes
    while left_bytes >= 0 and (part := response.read(min(_PART_BYTES, left_bytes + 1))):
        left_bytes -= len(part)
        parts.append(part)
    if cut:
        return b"".join(parts)[:most_bytes]
    if left_bytes < 0:
        raise NotRead("too_large", f"the response is larger than {megabytes(most_bytes)}")
    if response.length:  # http.client is silent about an answer that ends early
        raise NotRead("cut", f"{response.length} bytes short of its Content-Length")
    return b"".join(parts)


class _Deadline:
    """When the whole of an answer has to be there."""

    def __init__(self, within_s: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ends_at_s = clock() + within_s

    def left_s(self) -> float:
        """Seconds that are left. Raises TimeoutError where none are."""
        left_s = self._ends_at_s - self._clock()
        if left_s <= 0:
            raise TimeoutError
        return left_s


class _TimedSocket:
    """A connection whose every read and write waits no longer than until the deadline."""

    def __init__(self, sock: Any, deadline: _Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._deadline.left_s())
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._sock, self._deadline))

    def close(self) -> None:
        self._sock.close()


class _TimedReader(io.RawIOBase):
    def __init__(self, sock: Any, deadline: _Deadline) -> None:
        super().__init__()
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)  # holds the socket open
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._deadline.left_s())
        read: int | None = self._raw.readinto(buffer)
        return read

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Plain(http.client.HTTPConnection):
    def __init__(self, *args: Any, deadline: _Deadline, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline = deadline

    def connect(self) -> None:
        super().connect()
        self.sock: Any = _TimedSocket(self.sock, self._deadline)


class _Encrypted(http.client.HTTPSConnection):
    def __init__(self, *args: Any, deadline: _Deadline, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline = deadline

    def connect(self) -> None:
        super().connect()  # the handshake too: all of it within one timeout
        self.sock: Any = _TimedSocket(self.sock, self._deadline)


class _Handler(urllib.request.AbstractHTTPHandler):
    """Opens a URL on a connection with a deadline."""

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    def __init__(self, deadline: _Deadline, *, verify_tls: bool) -> None:
        super().__init__()
        self._deadline = deadline
        self._verify_tls = verify_tls

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Plain, deadline=self._deadline), request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        context = ssl.create_default_context()
        if not self._verify_tls:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        encrypted = partial(_Encrypted, context=context, deadline=self._deadline)
        return self.do_open(encrypted, request)


def _opener(question: HttpRequest, deadline: _Deadline) -> urllib.request.OpenerDirector:
    """Goes by the proxies of the environment, and never where a redirect points."""
    opener = urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.ProxyHandler({} if is_this_machine(question.url) else None))
    opener.add_handler(_Handler(deadline, verify_tls=question.verify_tls))
    return opener
