"""TLS through memory BIOs: the socket stays the generator's, and with it the kernel's stamps."""

from __future__ import annotations

import ssl

_PLAIN_BYTES = 16384


class TlsPipe:
    """The encryption of one connection, apart from its socket. Raises ssl.SSLError."""

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)

    def handshake(self, received: bytes = b"") -> tuple[bytes, bool]:
        """(bytes to send, whether the handshake is done) after `received`."""
        self._incoming.write(received)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return self._outgoing.read(), False
        return self._outgoing.read(), True

    def encrypt(self, data: bytes) -> bytes:
        """`data` as it goes over the wire."""
        self._tls.write(data)
        return self._outgoing.read()

    def decrypt(self, received: bytes) -> tuple[bytes, bool]:
        """(the plain bytes that are whole now, whether the peer has said goodbye)."""
        self._incoming.write(received)
        parts: list[bytes] = []
        try:
            while part := self._tls.read(_PLAIN_BYTES):
                parts.append(part)
        except ssl.SSLWantReadError:
            return b"".join(parts), False
        except ssl.SSLZeroReturnError:
            pass
        return b"".join(parts), True
