"""A server that answers in every way that could fill a client's memory or keep it waiting.

    python -m tests.security.hostile_server         prints its port

Which of `MODES` says the base URL, or the prompt (`mode:MODE`) where that names none.
Completions are answered in it, and under `url(mode, everything=True)` whatever is asked.
"""

from __future__ import annotations

import os
import re
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType

from tests.security.misbehaving.pieces import Sent, models
from tests.security.modes import MODES

_MODE_IN_BODY = re.compile(rb"mode:(\w+)")
_MODE_IN_PATH = re.compile(rb"^/(everything-)?(\w+)/")


def url_of(port: int, mode: str = "", *, everything: bool = False) -> str:
    """The base URL of a server at this port under which it answers in this mode."""
    folder = f"/{'everything-' if everything else ''}{mode}" if mode else ""
    return f"http://127.0.0.1:{port}{folder}/v1"


class HostileServer:
    """`with HostileServer() as server: …`. Asks for models and health are answered well."""

    def __enter__(self) -> HostileServer:
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Answering)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def url(self, mode: str = "", *, everything: bool = False) -> str:
        """A base URL."""
        return url_of(self.port, mode, everything=everything)


class _Answering(socketserver.BaseRequestHandler):
    """Reads one request, answers it, and closes the connection."""

    def handle(self) -> None:
        self.request.settimeout(60)
        try:
            for piece in _answer(*self._read()):
                if isinstance(piece, bytes):
                    self.request.sendall(piece)
                else:
                    time.sleep(piece)
        except OSError:
            return  # the client has had enough

    def _read(self) -> tuple[bytes, bytes]:
        """(the path, the body) of the request."""
        received = b""
        while b"\r\n\r\n" not in received:
            received += self.request.recv(65536) or self._gone()
        head, _, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        while length and len(body) < int(length[1]):
            body += self.request.recv(65536) or self._gone()
        return head.split(b" ", 2)[1], body

    def _gone(self) -> bytes:
        raise ConnectionResetError


def _answer(path: bytes, body: bytes) -> Iterator[Sent]:
    named, prompted = _MODE_IN_PATH.match(path), _MODE_IN_BODY.search(body)
    mode = (named[2] if named else b"").decode()
    if mode not in MODES:
        mode = prompted[1].decode() if prompted else ""
    everything = named is not None and named[1] is not None
    if mode in MODES and (everything or path.endswith(b"completions")):
        return MODES[mode]()
    return iter([models()])


def main() -> None:
    """Serve until stdin ends."""
    with HostileServer() as server:
        print(server.port, flush=True)
        sys.stdin.read()
        os._exit(0)  # threads may be in the middle of an endless answer


if __name__ == "__main__":
    main()
