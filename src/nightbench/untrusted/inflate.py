"""Compressed answers, unpacked no further than a limit: a kilobyte may hold a gigabyte."""

from __future__ import annotations

import zlib

from nightbench.untrusted.limits import TooLarge, megabytes

ACCEPTED = "gzip, deflate"  # as Accept-Encoding; nothing else is asked for, nor understood
_GZIP_OR_ZLIB, _RAW = zlib.MAX_WBITS | 32, -zlib.MAX_WBITS
_HEADER_BYTES = 2


def can_inflate(encoding: str) -> bool:
    """Whether a Content-Encoding is one that `Inflater` unpacks."""
    return encoding.strip().lower() in ("gzip", "x-gzip", "deflate")


class Inflater:
    """Unpacks one answer as it comes."""

    def __init__(self, encoding: str, most_bytes: int) -> None:
        self._decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._may_be_raw = encoding.strip().lower() == "deflate"
        self._begun = b""  # too few bytes to tell
        self._most_bytes = self._left_bytes = most_bytes

    def feed(self, data: bytes) -> bytes:
        """What these bytes unpack to; to nothing, behind the end of what is compressed.

        Raises TooLarge, or zlib.error for what is not compressed.
        """
        if self._decoder.eof:
            return b""
        if self._may_be_raw:
            data = self._begun = self._begun + data
            if len(data) < _HEADER_BYTES:
                return b""
            self._may_be_raw = False
            if not _has_header(data):
                self._decoder = zlib.decompressobj(_RAW)
        unpacked = self._decoder.decompress(data, self._left_bytes + 1)
        self._left_bytes -= len(unpacked)
        if self._left_bytes < 0:
            raise TooLarge(f"it unpacks to more than {megabytes(self._most_bytes)}")
        return unpacked


def _has_header(data: bytes) -> bool:
    """Of zlib (RFC 1950, 2.2) or gzip. What some servers call deflate has neither."""
    is_zlib = data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:_HEADER_BYTES]) % 31 == 0
    return is_zlib or data.startswith(b"\x1f\x8b")
