"""How an answer is sent: without end, or without getting anywhere."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

from tests.security.misbehaving.pieces import (
    BLOCK,
    CHUNKED,
    FOREVER_S,
    GIGABYTE,
    JSON,
    NO_END,
    OK,
    Mode,
    Sent,
    chunk,
    completion,
    endless,
)


def gigabyte_body() -> Iterator[Sent]:
    return endless(JSON + b"Content-Length: %d\r\n\r\n" % GIGABYTE, BLOCK)


def endless_chunks() -> Iterator[Sent]:
    return endless(JSON + CHUNKED, chunk(BLOCK))


def endless_until_closed() -> Iterator[Sent]:
    return endless(JSON + NO_END, BLOCK)


def one_byte_chunks() -> Iterator[Sent]:
    return endless(JSON + CHUNKED, chunk(b"a"))


def chunk_of_exabytes() -> Iterator[Sent]:
    return endless(JSON + CHUNKED + b"0fffffffffffffff\r\n", BLOCK)


def endless_chunk_extension() -> Iterator[Sent]:
    return endless(JSON + CHUNKED + b"5;x=", BLOCK)


def endless_trailers() -> Iterator[Sent]:
    return endless(JSON + CHUNKED + b"0\r\n", b"x: y\r\n")


def endless_headers() -> Iterator[Sent]:
    return endless(OK, b"x: y\r\n")


def endless_header() -> Iterator[Sent]:
    return endless(OK + b"x: ", BLOCK)


def endless_status_line() -> Iterator[Sent]:
    return endless(b"HTTP/1.1 200 ", BLOCK)


def endless_continues() -> Iterator[Sent]:
    return endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n")


def endless_early_hints() -> Iterator[Sent]:
    return endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")


def length_too_long() -> Iterator[Sent]:
    yield JSON + b"Content-Length: 100000\r\n\r\n" + json.dumps(completion()).encode()
    yield FOREVER_S


def length_too_long_and_closed() -> Iterator[Sent]:
    yield JSON + b"Content-Length: 100000\r\n\r\n" + json.dumps(completion()).encode()


def length_too_short() -> Iterator[Sent]:
    return endless(JSON + b"Content-Length: 20\r\n\r\n", BLOCK)


def length_absurd() -> Iterator[Sent]:
    return endless(JSON + b"Content-Length: %d\r\n\r\n" % 10**30, BLOCK)


def length_of_a_million_digits() -> Iterator[Sent]:
    return endless(JSON + b"Content-Length: ", b"9")


def length_negative() -> Iterator[Sent]:
    return endless(JSON + b"Content-Length: -5\r\n\r\n", BLOCK)


def drip_of_a_head() -> Iterator[Sent]:
    for byte in itertools.chain(OK, itertools.cycle(b"x: y\r\n")):
        yield bytes([byte])
        yield 0.2


def drip_of_a_body() -> Iterator[Sent]:
    yield JSON + CHUNKED
    while True:
        yield chunk(b" ")
        yield 0.2


def drip_within_a_length() -> Iterator[Sent]:
    yield JSON + b"Content-Length: 100000\r\n\r\n"
    while True:
        yield b" "
        yield 0.2


def silence() -> Iterator[Sent]:
    yield FOREVER_S


def nothing() -> Iterator[Sent]:
    yield b""


def no_http() -> Iterator[Sent]:
    return endless(b"", b"!!! this is not HTTP !!!\r\n\r\n")


def upgrade() -> Iterator[Sent]:
    head = b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    return endless(head, BLOCK)


def redirect_loop() -> Iterator[Sent]:
    head = (
        b"HTTP/1.1 307 X\r\nConnection: close\r\nLocation: completions\r\nContent-Length: 0\r\n\r\n"
    )
    yield head


MODES: tuple[Mode, ...] = (
    gigabyte_body,
    endless_chunks,
    endless_until_closed,
    one_byte_chunks,
    chunk_of_exabytes,
    endless_chunk_extension,
    endless_trailers,
    endless_headers,
    endless_header,
    endless_status_line,
    endless_continues,
    endless_early_hints,
    length_too_long,
    length_too_long_and_closed,
    length_too_short,
    length_absurd,
    length_of_a_million_digits,
    length_negative,
    drip_of_a_head,
    drip_of_a_body,
    drip_within_a_length,
    silence,
    nothing,
    no_http,
    upgrade,
    redirect_loop,
)
