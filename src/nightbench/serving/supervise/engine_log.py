"""The file an engine's output goes to, written by its supervisor. Standard library only."""

from __future__ import annotations

import os

_KEPT_BACK = 4096  # bytes; no secret is longer


class Log:
    """The engine's output: secrets taken out line by line, rotated, and never in the engine's way.

    A disk that is full costs the log its lines (counted), not the engine its life.
    """

    def __init__(self, path: str, max_bytes: int, secrets: list[str]) -> None:
        self.path, self.max_bytes = path, max_bytes
        from nightbench.secrets.redaction import Redactor  # the supervisor starts without

        # A log is bytes: as latin-1 each of them is a character, and stays what it is.
        self.redact = Redactor(
            secret.encode(errors="surrogateescape").decode("latin-1") for secret in secrets
        )
        self.partial, self.lost_bytes, self.size, self.fd = b"", 0, 0, -1

    def feed(self, chunk: bytes) -> None:
        """Write the whole lines of what has come; a line over 64 KiB counts as whole."""
        lines, newline, rest = (self.partial + chunk).rpartition(b"\n")
        self.partial = rest
        if len(rest) > 65536:  # its end is kept back: a secret may have come by half
            rest = self._redacted(rest)
            lines, newline = lines + newline + rest[:-_KEPT_BACK], b""
            self.partial = rest[-_KEPT_BACK:]
        if lines or newline:
            self.write(lines + newline)

    def write(self, data: bytes) -> None:
        """Write out, redacted; bytes that find no room are counted as lost."""
        data = self._redacted(data)
        try:
            if self.fd < 0 or self.size + len(data) > self.max_bytes:
                self._open()
            self.size += len(data)
            while data:
                data = data[os.write(self.fd, data) :]
        except OSError:
            self.lost_bytes += len(data)

    def _redacted(self, data: bytes) -> bytes:
        return self.redact(data.decode("latin-1")).encode("latin-1")

    def _open(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            os.replace(self.path, self.path + ".1")  # noqa: PTH105
        self.fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.size = os.fstat(self.fd).st_size
