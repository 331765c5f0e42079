"""One keep-alive connection of the generator: sends prebuilt bytes, stamps what arrives.

The hot path is receive, stamp, store: in `_on_readable`, or in the wire, which a socket is handed
over to once a chunked answer is on its way. The C parser looks for the response's end.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol

import httptools

from nightbench.load.drive.ending import HINT, Ending
from nightbench.load.drive.exchange import Exchange
from nightbench.load.drive.kernel_clock import SO_TIMESTAMPNS, now_ns
from nightbench.load.drive.rawlog import NO_STAMP, Cause
from nightbench.load.drive.tls import TlsPipe
from nightbench.load.drive.wire import Wire
from nightbench.untrusted.limits import AnswerLimits, megabytes

_READ_BYTES = 4096
_CONTROL_BYTES = socket.CMSG_SPACE(16)
_KEPT_BYTES = 65536  # of an answer that got too large: how it began
_BLANK_LINE = b"\r\n\r\n"  # what a chunked response ends with, whole or cut
_FINAL = 200  # a status below is an interim response's (RFC 9110, 15.2)
_READ, _WRITE = select.EPOLLIN, select.EPOLLOUT
_CAUSE_OF_ERROR: dict[type[OSError], int] = {
    ConnectionRefusedError: Cause.CONNECT_REFUSED,
    TimeoutError: Cause.TIMEOUT_CONNECT,
}

Handler = Callable[[int, int], None]  # (mask as in wire.Events, floor in ns)
Remote = tuple[int, Any]  # (address family, address)


class Owner(Protocol):
    """What a connection needs of the loop it lives in."""

    handlers: dict[int, Handler]
    epoll: select.epoll
    wire: Wire

    def sent(self, at_ns: int) -> None:
        """A request is in flight."""

    def ended(self, connection: Connection, exchange: Exchange) -> None:
        """The connection's request is over; the connection may be closed."""

    def opened(self, connection: Connection) -> None:
        """A connection without a request is open."""

    def lost(self, connection: Connection) -> None:
        """A connection without a request is gone."""

    def over(self, connection: Connection, end: str, at_ns: int) -> None:
        """The answer is over by what it says (as in `ending`), its response is not."""


class Connection:
    """A socket, its parser and the request that is on it."""

    __slots__ = (
        "_choices",
        "_chunked",
        "_complete",
        "_ending",
        "_feed",
        "_fresh",
        "_in_chunks",
        "_is_stream",
        "_keep",
        "_keep_nothing",
        "_limits",
        "_on_wire",
        "_parser",
        "_recvmsg",
        "_remote",
        "_seen",
        "_sock",
        "_stamped",
        "_tls",
        "_tls_context",
        "_unsent",
        "_was_open",
        "alive",
        "connect_ns",
        "connecting_since",
        "end_at_ns",
        "exchange",
        "fd",
        "owner",
    )

    def __init__(
        self,
        owner: Owner,
        remote: Remote,
        tls: tuple[ssl.SSLContext, str] | None,
        limits: AnswerLimits,
        *,
        kernel_stamps: bool = True,
        choices: int = 1,
    ) -> None:
        self.owner = owner
        self.exchange: Exchange | None = None
        self.fd = -1
        self.alive = False  # a request could be sent right now
        self.connect_ns = self.connecting_since = 0
        self.end_at_ns = 0  # when to take an answer for over whose response stays open; 0: never
        self._choices = choices
        self._ending: Ending | None = None
        self._is_stream = self._was_open = self._keep_nothing = False
        self._remote = remote
        self._tls_context = tls
        self._limits = limits
        self._stamped = kernel_stamps
        self._unsent = b""
        self._complete = self._keep = self._fresh = False
        self._chunked = self._in_chunks = False  # announced; and the head is over too
        self._on_wire = False  # the wire reads for it
        self._seen = 0  # bytes of the answer that the parser has seen
        self._tls: TlsPipe | None = None

    @property
    def opening(self) -> bool:
        """Whether it is on its way to be open."""
        return self.fd >= 0 and not self.alive

    def open(self) -> None:
        """Begin to connect. The owner hears `opened`, `ended` or `lost`."""
        family, address = self._remote
        try:
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:  # no more open files
            self._fresh = True
            self._gone(Cause.CONNECT_FAILED, str(error))
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._stamped:
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._sock, self.fd, self._recvmsg = sock, sock.fileno(), sock.recvmsg
        self._parser = httptools.HttpResponseParser(self)
        self._feed = self._parser.feed_data
        self._tls, self._unsent, self._fresh = None, b"", True
        self._chunked = self._in_chunks = self._is_stream = self._keep_nothing = False
        self.connecting_since = now_ns()
        self.owner.handlers[self.fd] = self._on_connecting
        self.owner.epoll.register(self.fd, _WRITE)
        try:
            sock.connect(address)
        except BlockingIOError:
            return
        except OSError as error:
            self._gone(_CAUSE_OF_ERROR.get(type(error), Cause.CONNECT_FAILED), str(error))

    def assign(self, exchange: Exchange) -> None:
        """Send a request now, or as soon as the connection is open."""
        if self.alive and self._is_stale():
            self._close()
        self.exchange, self._seen, self._was_open = exchange, 0, self.alive
        if self.alive:
            self._send_request(exchange)
        elif self.fd < 0:
            self.open()

    def _is_stale(self) -> bool:
        """Whether the server has closed it, or said something that nobody asked: no answer to what
        is sent next."""
        try:
            waiting = self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return not waiting or self._tls is None  # TLS has words of its own

    def end_over(self) -> None:
        """End a request whose answer is over, though its response is not."""
        self._gone(Cause.OVER, "")

    def look(self, quiet_since_ns: int) -> None:
        """Look for an end in what came before, where none of its reads looked like one."""
        exchange = self.exchange
        if exchange is None or not self.alive or not len(exchange.reads):
            return
        at = exchange.reads.at_ns(-1)
        if at < quiet_since_ns and self._seen < exchange.reads.size:
            self._look_for_end(exchange, at)

    def abandon(self, cause: int) -> None:
        """End the request, or the attempt to connect, from this side."""
        self._gone(cause, "")

    def too_large(self, said: str) -> None:
        """End a request whose answer is more than is kept: of what came its beginning stays."""
        if self.exchange is not None:
            self.exchange.reads.cut(_KEPT_BYTES)
        self._gone(Cause.TOO_LARGE, said)

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: a header of the response."""
        if self._complete:
            return  # of what nobody asked for
        name = name.lower()
        if name == b"transfer-encoding":
            self._chunked = b"chunked" in value.lower()
        elif name == b"content-type":
            self._is_stream = b"event-stream" in value.lower()

    def on_body(self, data: bytes) -> None:
        """httptools: a piece of the body."""
        if self._ending is not None:
            self._ending.add(data)

    def on_message_begin(self) -> None:
        """httptools: a response begins; a second one is to no request of ours."""
        self._keep_nothing = self._complete

    def on_headers_complete(self) -> None:
        """httptools: the head is there; from here on the answer's own limit holds."""
        status, exchange = self._parser.get_status_code(), self.exchange
        if exchange is not None and status >= _FINAL and not self._complete:
            self._in_chunks = self._chunked
            self._ending = Ending(self._choices) if self._is_stream and status < 300 else None
            limits = self._limits
            exchange.reads.allow(limits.error_bytes if status >= 400 else limits.answer_bytes)

    def on_message_complete(self) -> None:
        """httptools: the response's last byte has come. After an interim one another follows."""
        if self._complete:
            return
        if self._parser.get_status_code() < _FINAL:
            self._chunked = self._is_stream = False
            return
        self._complete = True
        self._keep = self._parser.should_keep_alive()  # the parser knows it only now

    def _close(self) -> None:
        if self.fd < 0:
            return
        self._take_back()
        del self.owner.handlers[self.fd]
        self.owner.epoll.unregister(self.fd)
        self._sock.close()
        self.fd, self.alive = -1, False

    def _gone(self, cause: int, error: str) -> None:
        exchange = self.exchange
        again = exchange is not None and self._may_be_sent_again(exchange, cause)
        self._close()
        if exchange is not None and again:
            exchange.resent = True
            self.open()
        elif exchange is not None:
            self._end(exchange, cause, error, now_ns())
        else:
            self.owner.lost(self)

    def _may_be_sent_again(self, exchange: Exchange, cause: int) -> bool:
        """Whether the server had closed the connection before it could see the request: it was open
        before, and nothing of an answer has come."""
        closed = cause in (Cause.EOF, Cause.RESET)
        return closed and self._was_open and not exchange.resent and not len(exchange.reads)

    def _end(self, exchange: Exchange, cause: int, error: str, at: int) -> None:
        exchange.cause, exchange.error, exchange.ended_ns = cause, error, at
        exchange.fresh, exchange.connect_ns = self._fresh, self.connect_ns
        self._take_back()
        self._fresh = self._complete = self._chunked = self._in_chunks = self._is_stream = False
        self.exchange, self._ending, self.end_at_ns = None, None, 0
        self.owner.ended(self, exchange)

    # Connecting.

    def _on_connecting(self, mask: int, floor: int) -> None:
        if mask <= _READ:
            return  # of the socket that had this number before
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            cause = _CAUSE_OF_ERROR.get(type(OSError(code, "")), Cause.CONNECT_FAILED)
            self._gone(cause, os.strerror(code))
        elif self._tls_context is None:
            self._is_open()
        else:
            self._tls = TlsPipe(*self._tls_context)
            self.owner.epoll.modify(self.fd, _READ)
            self.owner.handlers[self.fd] = self._on_handshake
            self._handshake(self._tls, b"")

    def _is_open(self) -> None:
        self.connect_ns = now_ns() - self.connecting_since
        self.alive = True
        self.owner.epoll.modify(self.fd, _READ | (_WRITE if self._unsent else 0))
        self.owner.handlers[self.fd] = self._on_readable
        if self.exchange is not None:
            self._send_request(self.exchange)
        else:
            self.owner.opened(self)

    def _on_handshake(self, mask: int, floor: int) -> None:
        if mask & _WRITE:
            self._send_rest()
        try:
            data = self._sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._gone(Cause.TLS_FAILED, str(error))
            return
        if data and self._tls is not None:
            self._handshake(self._tls, data)
        else:
            self._gone(Cause.TLS_FAILED, "the server closed the connection in the TLS handshake")

    def _handshake(self, tls: TlsPipe, received: bytes) -> None:
        try:
            reply, done = tls.handshake(received)
        except ssl.SSLError as error:
            self._gone(Cause.TLS_FAILED, str(error))
            return
        self._send(reply)
        if done:
            self._is_open()

    # Sending.

    def _send_request(self, exchange: Exchange) -> None:
        message = exchange.message
        if self._tls is not None:
            message = self._tls.encrypt(message)
        at = now_ns()
        if exchange.sent_ns:  # once more: it has been in flight since it was sent first
            self._send(message)
            return
        exchange.sent_ns = at
        self._send(message)
        self.owner.sent(at)

    def _send(self, data: bytes) -> None:
        try:
            done = self._sock.send(data)
        except BlockingIOError:
            done = 0
        except OSError:
            # What the server said before it closed is still to be read; the read says the rest.
            return
        if done < len(data):
            self._unsent = data[done:]
            self.owner.epoll.modify(self.fd, _READ | _WRITE)

    def _send_rest(self) -> None:
        data, self._unsent = self._unsent, b""
        self.owner.epoll.modify(self.fd, _READ)
        self._send(data)

    # Receiving.

    def _on_readable(self, mask: int, floor: int) -> None:
        if mask <= 0:
            self._on_read_by_wire(mask)
            return
        if mask & _WRITE:
            self._send_rest()
        try:
            data, control, _, _ = self._recvmsg(_READ_BYTES, _CONTROL_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._gone(Cause.RESET, str(error))
            return
        at = now_ns()
        exchange = self.exchange
        if data and self._tls is not None:
            self._take_encrypted(self._tls, data, control, at, floor)
        elif data and exchange is not None:
            if not exchange.reads.add(data, control[0][2] if control else NO_STAMP, at, floor):
                self._got_too_large(exchange)
                return
            # Between the head of a chunked response and what may be its end the parser can wait.
            if not self._in_chunks or self._may_end(data):
                self._look_for_end(exchange, at)
        else:
            self._gone(Cause.EOF, "")

    def _look_for_end(self, exchange: Exchange, at: int) -> None:
        """Let the parser see what it has not seen; end the request where the response is whole."""
        try:
            self._feed(exchange.reads.tail(self._seen))
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._complete:
                self._gone(Cause.MALFORMED_HTTP, str(error))
                return
            self._keep = False  # what follows the answer is no part of it
        self._seen = exchange.reads.size
        if self._complete:
            if not self._keep or self._unsent or self._keep_nothing:
                self._close()
            self._end(exchange, Cause.COMPLETE, "", at)
            return
        end = self._ending.look() if self._ending is not None else None
        if end is not None:
            self.owner.over(self, end, at)
        if self._near_its_end():
            self._take_back()
        elif self._in_chunks and self._tls is None and not self._on_wire:
            self._on_wire = True
            self.owner.wire.hand_over(self.fd, exchange.reads)

    def _may_end(self, data: bytes) -> bool:
        """Whether a read of a chunked response may hold its end, or the answer's."""
        ends = data.endswith(_BLANK_LINE) or len(data) < 4 or self._near_its_end()
        return ends or HINT.search(data) is not None

    def _near_its_end(self) -> bool:
        return self._ending is not None and (self._ending.is_done or self._ending.is_finished)

    def _on_read_by_wire(self, mask: int) -> None:
        """The wire has read what may be the end (0), or could not read (an error number)."""
        exchange = self.exchange
        if exchange is None or not self._on_wire:
            return  # of the socket that had this number before
        if mask == -errno.EMSGSIZE:
            self._got_too_large(exchange)
        elif mask < 0:
            self._gone(Cause.RESET, str(OSError(-mask, os.strerror(-mask))))
        else:
            self._look_for_end(exchange, exchange.reads.at_ns(-1))

    def _got_too_large(self, exchange: Exchange) -> None:
        self.too_large(f"more than {megabytes(exchange.reads.most_bytes)} came, and no end")

    def _take_back(self) -> None:
        if self._on_wire:
            self._on_wire = False
            self.owner.wire.take_back(self.fd)

    def _take_encrypted(
        self, tls: TlsPipe, data: bytes, control: list[Any], at: int, floor: int
    ) -> None:
        try:
            plain, goodbye = tls.decrypt(data)
        except ssl.SSLError as error:
            self._gone(Cause.TLS_FAILED, str(error))
            return
        exchange = self.exchange
        if plain and exchange is not None:
            if exchange.reads.add(plain, control[0][2] if control else NO_STAMP, at, floor):
                self._look_for_end(exchange, at)
            else:
                self._got_too_large(exchange)
        elif plain and self.fd >= 0:
            self._gone(Cause.EOF, "")  # nobody asked
        if goodbye and self.fd >= 0:
            self._gone(Cause.EOF, "")
