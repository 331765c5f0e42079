"""What a stream of events says."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from tests.security.misbehaving.packing import packed
from tests.security.misbehaving.pieces import (
    BLOCK,
    CHUNKED,
    DONE,
    FOREVER_S,
    SSE,
    STOP,
    TOKEN,
    Mode,
    Sent,
    chunk,
    endless,
    event,
    replied,
    streamed,
)


def endless_tokens() -> Iterator[Sent]:
    return endless(SSE + CHUNKED, chunk(TOKEN))


def endless_tiny_events() -> Iterator[Sent]:
    return endless(SSE + CHUNKED, chunk(b"data: {}\n\n"))


def a_megabyte_and_silence() -> Iterator[Sent]:
    yield SSE + CHUNKED + chunk(TOKEN) + chunk(b"a" * 1_000_000)
    yield FOREVER_S


def endless_comments() -> Iterator[Sent]:
    return endless(SSE + CHUNKED + chunk(TOKEN), chunk(b": keep-alive\n\n"))


def endless_blank_lines() -> Iterator[Sent]:
    return endless(SSE + CHUNKED, chunk(b"\n\n"))


def endless_line() -> Iterator[Sent]:
    return endless(SSE + CHUNKED + chunk(b"data: "), chunk(BLOCK))


def endless_after_done() -> Iterator[Sent]:
    yield SSE + CHUNKED + chunk(TOKEN + STOP + DONE)
    yield from endless(b"", chunk(BLOCK))


def drip_after_done() -> Iterator[Sent]:
    yield SSE + CHUNKED + chunk(TOKEN + STOP + DONE)
    while True:
        yield chunk(b": still here\n\n")
        yield 0.2


def drip_of_tokens() -> Iterator[Sent]:
    yield SSE + CHUNKED
    while True:
        yield chunk(TOKEN)
        yield 0.2


def million_of_odd_events() -> Iterator[Sent]:
    return streamed(*[b'event: x\ndata: {"choices":[]}\n\n' * 1000] * 1200)


def million_of_broken_events() -> Iterator[Sent]:
    return streamed(*[b"data: {\n\n" * 1000] * 1200)


def event_of_ten_million_lines() -> Iterator[Sent]:
    return streamed(b"data: \n" * 5_000_000 + b":\n" * 5_000_000 + b"\n")


def million_of_blank_lines() -> Iterator[Sent]:
    return streamed(*[b"\n" * 60_000] * 600)


def gzip_bomb_of_events() -> Iterator[Sent]:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    begins = packer.compress(TOKEN) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(b": \n" * 5_000_000) + packer.flush(zlib.Z_FULL_FLUSH)
    return packed(b"gzip", begins, again, SSE)


def gzip_bomb_of_events_in_a_whole_answer() -> Iterator[Sent]:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = packer.compress(TOKEN) + packer.compress(b": \n" * 300_000_000) + packer.flush()
    return replied(body, SSE + b"Content-Encoding: gzip\r\n")


def event_nested_deeply() -> Iterator[Sent]:
    return streamed(b'data: {"choices":' + b"[" * 1_000_000 + b"\n\n")


def event_of_ten_million_objects() -> Iterator[Sent]:
    return streamed(b'data: {"choices":[],"x":[' + b"{}," * 10_000_000 + b"{}]}\n\n")


def event_of_many_choices() -> Iterator[Sent]:
    one = b'{"index":0,"delta":{"content":"a"}}'
    return streamed(b'data: {"choices":[' + (one + b",") * 1_000_000 + one + b"]}\n\n")


def event_of_many_tool_calls() -> Iterator[Sent]:
    one = b'{"index":0,"function":{"arguments":"{"}}'
    head = b'data: {"choices":[{"index":0,"delta":{"tool_calls":['
    return streamed(head + (one + b",") * 1_000_000 + one + b"]}}]}\n\n")


def event_of_a_huge_integer() -> Iterator[Sent]:
    number = b"9" * 1_000_000
    return streamed(b'data: {"choices":[],"usage":{"completion_tokens":' + number + b"}}\n\n")


def event_of_absurd_usage() -> Iterator[Sent]:
    usage = {"prompt_tokens": 2**66, "completion_tokens": 10**300}
    return streamed(event({}, choices=[], usage=usage))


def event_of_60_mb() -> Iterator[Sent]:
    return streamed(event({"content": "a" * 60_000_000}))


def event_of_100_mb() -> Iterator[Sent]:
    return streamed(event({"content": "a" * 100_000_000}))


def events_in_utf_16() -> Iterator[Sent]:
    return streamed((TOKEN.decode() * 1000).encode("utf-16"))


def events_of_invalid_utf_8() -> Iterator[Sent]:
    return streamed(TOKEN.replace(b'"a"', b'"\xff\xfe"'))


def events_of_nuls() -> Iterator[Sent]:
    return streamed(bytes(20_000_000) + b"\n\n")


def events_of_one_byte_each_read() -> Iterator[Sent]:
    """So many reads that their marks weigh more than their bytes."""
    yield SSE + CHUNKED + chunk(TOKEN)
    while True:
        yield b"1"
        yield b"\r\n"
        yield b":"
        yield b"\r\n"


MODES: tuple[Mode, ...] = (
    endless_tokens,
    endless_tiny_events,
    a_megabyte_and_silence,
    endless_comments,
    endless_blank_lines,
    endless_line,
    endless_after_done,
    drip_after_done,
    drip_of_tokens,
    million_of_odd_events,
    million_of_broken_events,
    event_of_ten_million_lines,
    million_of_blank_lines,
    gzip_bomb_of_events,
    gzip_bomb_of_events_in_a_whole_answer,
    event_nested_deeply,
    event_of_ten_million_objects,
    event_of_many_choices,
    event_of_many_tool_calls,
    event_of_a_huge_integer,
    event_of_absurd_usage,
    event_of_60_mb,
    event_of_100_mb,
    events_in_utf_16,
    events_of_invalid_utf_8,
    events_of_nuls,
    events_of_one_byte_each_read,
)
