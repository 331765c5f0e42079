"""Small questions to a server that may be hostile: each ends, as a page or a failure of a kind."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import pytest

from nightbench.untrusted.http_reader import (
    HttpRequest,
    NotRead,
    Page,
    fetch,
    fetch_status,
    lines,
    retry_after_s,
)
from nightbench.untrusted.limits import TooLarge

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
PLENTY_S = 30.0
MOST_BYTES, MOST_ERROR_BYTES = 100_000, 1_000
DRIP_S = 0.01


@contextmanager
def serving(pieces: Iterable[bytes], *, every_s: float = 0.0) -> Iterator[str]:
    """A server that sends these pieces to its one client."""
    ended = threading.Event()

    def answer() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(65536)
            for piece in pieces:
                connection.sendall(piece)
                if ended.wait(every_s) and every_s:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/page"
        ended.set()
        thread.join()


def page_of(pieces: Iterable[bytes], *, every_s: float = 0.0, within_s: float = PLENTY_S) -> Page:
    with serving(pieces, every_s=every_s) as url:
        return fetch(
            HttpRequest(url=url),
            within_s=within_s,
            most_bytes=MOST_BYTES,
            most_error_bytes=MOST_ERROR_BYTES,
        )


def kind_of(pieces: Iterable[bytes], *, every_s: float = 0.0, within_s: float = PLENTY_S) -> str:
    with pytest.raises(NotRead) as failed:
        page_of(pieces, every_s=every_s, within_s=within_s)
    return failed.value.kind


def endless(first: bytes, again: bytes) -> Iterator[bytes]:
    yield first
    yield from itertools.repeat(again * (65536 // len(again)))


@pytest.mark.parametrize(
    "pieces",
    [
        [OK + b"Content-Length: 2\r\n\r\nok"],
        [OK + b"\r\nok"],
        [CHUNKED + b"1\r\no\r\n1;x=y\r\nk\r\n0\r\nTrailer: z\r\n\r\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\n", OK + b"Content-Length: 2\r\n\r\nok"],
    ],
    ids=["length", "closed", "chunks", "interim"],
)
def test_an_answer_comes_whole(pieces: list[bytes]) -> None:
    assert page_of(pieces) == Page(200, b"ok")


@pytest.mark.parametrize(
    "pieces",
    [
        endless(OK + b"Content-Length: 1000000000\r\n\r\n", b"a"),
        endless(CHUNKED, b"a\r\naaaaaaaaaa\r\n"),
        endless(OK + b"\r\n", b"a"),
        endless(OK, b"x: y\r\n"),
        endless(OK + b"x: ", b"a"),
        endless(CHUNKED + b"5;x=", b"a"),
    ],
    ids=["length", "chunks", "until closed", "headers", "a header", "chunk extension"],
)
def test_what_has_no_end_is_too_large(pieces: Iterator[bytes]) -> None:
    assert kind_of(pieces) == "too_large"


@pytest.mark.parametrize(
    "pieces",
    [
        (bytes([byte]) for byte in itertools.chain(OK, itertools.cycle(b"x: y\r\n"))),
        (bytes([byte]) for byte in itertools.chain(OK + b"\r\n", itertools.cycle(b" "))),
        itertools.chain([CHUNKED], itertools.repeat(b"1\r\n \r\n")),
        itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
        itertools.chain([CHUNKED + b"0\r\n"], itertools.repeat(b"x: y\r\n")),
    ],
    ids=["head", "body", "chunks", "interim responses", "trailers"],
)
def test_a_drip_that_never_stops_for_long_ends_when_its_time_is_over(
    pieces: Iterator[bytes],
) -> None:
    began_s = time.monotonic()

    assert kind_of(pieces, every_s=DRIP_S, within_s=0.3) == "timeout"

    assert time.monotonic() - began_s < PLENTY_S


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ([b"!!! no HTTP\r\n\r\n"], "malformed"),
        ([OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b"], "malformed"),
        ([OK + b"Content-Length: 10\r\n\r\nok"], "cut"),
        ([CHUNKED + b"a\r\nok"], "cut"),
        ([CHUNKED + b"zz\r\nok"], "cut"),
        ([b""], "cut"),
    ],
    ids=["no HTTP", "compressed", "short", "short chunk", "no chunk", "nothing"],
)
def test_what_cannot_be_read_has_its_kind(pieces: list[bytes], kind: str) -> None:
    assert kind_of(pieces) == kind


def test_an_error_keeps_its_status_however_much_it_says() -> None:
    pieces = endless(b"HTTP/1.1 503 X\r\nRetry-After: 2\r\n\r\n", b"a")

    assert page_of(pieces) == Page(503, b"a" * MOST_ERROR_BYTES, 2.0)


def test_of_a_status_nothing_else_is_read() -> None:
    with serving(endless(OK + b"\r\n", b"a")) as url:
        assert fetch_status(HttpRequest(url=url), within_s=PLENTY_S) == 200


def test_nobody_there_and_no_url_are_failures_to_connect() -> None:
    for url in ("http://127.0.0.1:9/", "file:///etc/passwd", "nothing"):
        with pytest.raises(NotRead) as failed:
            fetch_status(HttpRequest(url=url), within_s=PLENTY_S)
        assert failed.value.kind == "connect"


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    pieces = [b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"]

    assert page_of(pieces) == Page(302, b"", location="http://127.0.0.1:9/")


def test_a_header_with_a_second_line_is_refused_and_not_shown() -> None:
    question = HttpRequest(
        url="http://127.0.0.1:9/", headers={"Authorization": "Bearer s3cret\r\nx: y"}
    )

    with pytest.raises(NotRead) as failed:
        fetch_status(question, within_s=PLENTY_S)
    assert "Authorization" in str(failed.value)
    assert "s3cret" not in str(failed.value) + repr(question)


def test_a_proxy_in_the_environment_is_for_the_world_and_not_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving([OK + b"Content-Length: 2\r\n\r\nok"]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        with pytest.raises(NotRead) as failed:
            fetch_status(HttpRequest(url="http://127.0.0.1:9/"), within_s=PLENTY_S)
        assert failed.value.kind == "connect"
        assert fetch_status(HttpRequest(url="http://api.example/"), within_s=PLENTY_S) == 200


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("2.5", 2.5), ("-3", 0.0), ("1e308", 1e308), ("inf", None), ("nan", None), ("soon", None)],
)
def test_a_wait_is_a_number_of_seconds_or_none(said: str, seconds: float | None) -> None:
    assert retry_after_s(said) == seconds


def test_lines_are_cut_where_they_end_and_not_longer_than_they_may_be() -> None:
    assert list(lines([b"a\nb", b"c\n", b"\nd"], 10)) == [b"a", b"bc", b"", b"d"]
    with pytest.raises(TooLarge):
        list(lines(itertools.repeat(b"abc"), 10))


def test_retry_after_is_a_number_of_seconds_or_a_date() -> None:
    now = 1_700_000_000.0
    dates = ("Tue, 14 Nov 2023 22:13:50 GMT", "Tuesday, 14-Nov-23 22:13:50 GMT")
    for said in dates:
        assert retry_after_s(said, lambda: now) == 30
    assert retry_after_s("Tue, 14 Nov 2023 22:13:00 GMT", lambda: now) == 0
    assert retry_after_s("7") == 7
    for said in ("soon", "", "nan", "inf", "Tue, 99 Nov 2023", None):
        assert retry_after_s(said) is None
