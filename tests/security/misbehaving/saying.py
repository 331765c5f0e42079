"""What a whole answer says, an error too."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

from tests.security.misbehaving.pieces import (
    BLOCK,
    CHUNKED,
    ERROR,
    GIGABYTE,
    JSON,
    OK,
    Mode,
    Sent,
    chunk,
    completion,
    endless,
    replied,
)


def nested_deeply() -> Iterator[Sent]:
    return replied(b"[" * 50_000_000)


def nested_deeply_and_closed() -> Iterator[Sent]:
    return replied(b'{"choices":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}")


def twenty_million_objects() -> Iterator[Sent]:
    return replied(b'{"choices":[' + b"{}," * 20_000_000 + b"{}]}")


def many_choices() -> Iterator[Sent]:
    one = b'{"index":0,"message":{"content":"B"},"finish_reason":"stop"}'
    return replied(b'{"choices":[' + (one + b",") * 800_000 + one + b"]}")


def many_tool_calls() -> Iterator[Sent]:
    calls = b'{"id":"x","function":{"name":"f","arguments":"{}"}}'
    body = b'{"choices":[{"message":{"content":null,"tool_calls":['
    return replied(body + (calls + b",") * 800_000 + calls + b"]}}]}")


def content_in_nested_parts() -> Iterator[Sent]:
    part: Any = "B"
    for _ in range(400):
        part = [{"type": "text", "text": part}]
    return replied(json.dumps(completion(part)).encode())


def integer_of_a_million_digits() -> Iterator[Sent]:
    usage = b'"usage":{"prompt_tokens":1,"completion_tokens":' + b"9" * 1_000_000 + b"}}"
    return replied(json.dumps(completion()).encode()[:-1] + b"," + usage)


def absurd_usage() -> Iterator[Sent]:
    usage = {"prompt_tokens": 2**66, "completion_tokens": -(10**300), "total_tokens": 1e308}
    return replied(json.dumps(completion(usage=usage)).encode().replace(b"1e+308", b"1e999"))


def text_of_100_mb() -> Iterator[Sent]:
    return replied(json.dumps(completion("a" * 100_000_000)).encode())


def text_of_60_mb() -> Iterator[Sent]:
    return replied(json.dumps(completion("a" * 60_000_000)).encode())


def wide_text_of_50_mb() -> Iterator[Sent]:
    return replied(json.dumps(completion("\U0001f600" + "a" * 50_000_000)).encode())


def text_of_commas() -> Iterator[Sent]:
    return replied(json.dumps(completion("," * 50_000_000)).encode())


def text_of_nuls() -> Iterator[Sent]:
    return replied(json.dumps(completion("\0" * 1_000_000)).encode())


def half_a_character() -> Iterator[Sent]:
    return replied(b'{"choices":[{"message":{"content":"\\ud800 B"},"finish_reason":"\\ud800"}]}')


def utf_16() -> Iterator[Sent]:
    head = OK + b"Content-Type: application/json; charset=utf-16\r\n"
    return replied(json.dumps(completion()).encode("utf-16"), head)


def invalid_utf_8() -> Iterator[Sent]:
    return replied(
        b'{"choices":[{"message":{"content":"\xff\xfe\xc3\x28"}}]}' + b"\xff" * 1_000_000
    )


def nuls() -> Iterator[Sent]:
    return replied(bytes(50_000_000))


def endless_white_space() -> Iterator[Sent]:
    return endless(JSON + CHUNKED, chunk(b" " * 65536))


def key_of_60_mb() -> Iterator[Sent]:
    return replied(json.dumps({"a" * 60_000_000: 1}).encode())


def _error(body: bytes, head: bytes = b"") -> Iterator[Sent]:
    kind = ERROR + b"Content-Type: application/json\r\n"
    return replied(body, kind + head)


def gigabyte_error() -> Iterator[Sent]:
    return endless(ERROR + b"Content-Length: %d\r\n\r\n" % GIGABYTE, BLOCK)


def drip_of_an_error() -> Iterator[Sent]:
    yield ERROR + CHUNKED
    while True:
        yield chunk(b" ")
        yield 0.2


def nested_error() -> Iterator[Sent]:
    return _error(b'{"error":' + b"[" * 3_000_000)


def error_of_two_million_objects() -> Iterator[Sent]:
    return _error(b'{"error":[' + b"{}," * 2_000_000 + b"{}]}")


def error_in_a_charset_that_unpacks() -> Iterator[Sent]:
    packed = zlib.compress(bytes(500_000_000), 9)
    kind = ERROR + b"Content-Type: application/json; charset=zlib\r\n"
    return replied(packed, kind)


def wait_for_ever() -> Iterator[Sent]:
    yield b"HTTP/1.1 429 X\r\nConnection: close\r\nRetry-After: 1e308\r\nContent-Length: 0\r\n\r\n"


def wait_for_no_number() -> Iterator[Sent]:
    yield b"HTTP/1.1 429 X\r\nConnection: close\r\nRetry-After: nan\r\nContent-Length: 0\r\n\r\n"


MODES: tuple[Mode, ...] = (
    nested_deeply,
    nested_deeply_and_closed,
    twenty_million_objects,
    many_choices,
    many_tool_calls,
    content_in_nested_parts,
    integer_of_a_million_digits,
    absurd_usage,
    text_of_100_mb,
    text_of_60_mb,
    wide_text_of_50_mb,
    text_of_commas,
    text_of_nuls,
    half_a_character,
    utf_16,
    invalid_utf_8,
    nuls,
    endless_white_space,
    key_of_60_mb,
    gigabyte_error,
    drip_of_an_error,
    nested_error,
    error_of_two_million_objects,
    error_in_a_charset_that_unpacks,
    wait_for_ever,
    wait_for_no_number,
)
