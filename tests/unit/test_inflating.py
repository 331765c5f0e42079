"""A compressed answer is unpacked no further than it may be."""

from __future__ import annotations

import gzip
import zlib

import pytest

from nightbench.untrusted.inflate import Inflater, can_inflate
from nightbench.untrusted.limits import TooLarge

TEXT = b"said " * 1000


def raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKED = {"gzip": gzip.compress(TEXT), "deflate": zlib.compress(TEXT), "Deflate": raw(TEXT)}


@pytest.mark.parametrize("encoding", PACKED)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_what_comes_in_pieces_is_unpacked_as_it_comes(encoding: str, size: int) -> None:
    inflater, packed = Inflater(encoding, len(TEXT)), PACKED[encoding]
    pieces = [packed[begin : begin + size] for begin in range(0, len(packed), size)]

    assert b"".join(map(inflater.feed, pieces)) == TEXT


@pytest.mark.parametrize("encoding", PACKED)
def test_one_byte_more_than_may_be_is_too_large(encoding: str) -> None:
    with pytest.raises(TooLarge):
        Inflater(encoding, len(TEXT) - 1).feed(PACKED[encoding])


def test_of_a_bomb_no_more_is_made_than_may_be() -> None:
    """Unpacked at once, it would be a thousand times this process's memory limit of a test."""
    packer = zlib.compressobj(wbits=31)
    bomb = packer.compress(bytes(50_000_000)) + packer.flush()
    inflater = Inflater("gzip", 1000)

    with pytest.raises(TooLarge):
        inflater.feed(bomb)


def test_what_is_not_compressed_is_an_error() -> None:
    for encoding in ("gzip", "deflate"):
        with pytest.raises(zlib.error):
            Inflater(encoding, 1000).feed(b"plain text, in spite of its header")


def test_what_follows_the_end_is_nothing() -> None:
    inflater = Inflater("gzip", 2 * len(TEXT))

    assert inflater.feed(PACKED["gzip"]) == TEXT
    assert inflater.feed(PACKED["gzip"]) == b""


def test_other_encodings_are_not_known() -> None:
    assert [name for name in ("gzip", " GZIP", "x-gzip", "deflate") if not can_inflate(name)] == []
    assert [
        name for name in ("br", "zstd", "gzip, gzip", "identity", "") if can_inflate(name)
    ] == []
