"""Compressed answers, of which a kilobyte holds a megabyte and more."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from functools import cache

from tests.security.misbehaving.pieces import (
    BLOCK,
    ERROR,
    JSON,
    NO_END,
    Mode,
    Sent,
    completion,
    endless,
)


@cache
def _bomb(wbits: int) -> tuple[bytes, bytes]:
    """(how it begins, 16 MB of zeros again and again): a thousandth of that on the wire."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    begins = packer.compress(b" ") + packer.flush(zlib.Z_FULL_FLUSH)
    return begins, packer.compress(bytes(16_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)


def packed(encoding: bytes, begins: bytes, again: bytes, head: bytes = JSON) -> Iterator[Sent]:
    return endless(head + b"Content-Encoding: " + encoding + b"\r\n" + NO_END + begins, again)


def gzip_bomb() -> Iterator[Sent]:
    return packed(b"gzip", *_bomb(31))


def deflate_bomb() -> Iterator[Sent]:
    return packed(b"deflate", *_bomb(15))


def raw_deflate_bomb() -> Iterator[Sent]:
    return packed(b"deflate", *_bomb(-15))


def gzip_bomb_as_an_error() -> Iterator[Sent]:
    head = ERROR + b"Content-Type: application/json\r\n"
    return packed(b"gzip", *_bomb(31), head=head)


def gzip_in_gzip() -> Iterator[Sent]:
    return packed(b"gzip, gzip", *_bomb(31))


def brotli() -> Iterator[Sent]:
    return packed(b"br", b"", b"\x5b\xff\xff\x3f\x00")


def zstd() -> Iterator[Sent]:
    return packed(b"zstd", b"\x28\xb5\x2f\xfd", bytes(64))


def gzip_that_never_says_anything() -> Iterator[Sent]:
    begins, _ = _bomb(31)
    return packed(b"gzip", begins, b"\x00\x00\x00\xff\xff")


def gzip_and_endless_rest() -> Iterator[Sent]:
    packer = zlib.compressobj(wbits=31)
    body = packer.compress(json.dumps(completion()).encode()) + packer.flush()
    return packed(b"gzip", body, BLOCK)


MODES: tuple[Mode, ...] = (
    gzip_bomb,
    deflate_bomb,
    raw_deflate_bomb,
    gzip_bomb_as_an_error,
    gzip_in_gzip,
    brotli,
    zstd,
    gzip_that_never_says_anything,
    gzip_and_endless_rest,
)
