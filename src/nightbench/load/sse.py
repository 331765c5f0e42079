"""Server-sent events, byte by byte as they come. Source: WHATWG HTML, section 9.2.6."""

from __future__ import annotations


class SseParser:
    """Feed it pieces of a stream, cut anywhere; it hands back the data of complete events.

    Only the `data` field matters here; comments, ids and event names are read over.
    """

    __slots__ = ("_buffer", "_data", "_skip_lf")

    def __init__(self) -> None:
        self._buffer = b""
        self._data: list[bytes] = []
        self._skip_lf = False

    @property
    def between_events(self) -> bool:
        """Whether nothing of an event is waiting for its rest."""
        return not (self._buffer or self._data or self._skip_lf)

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that this piece completes."""
        if (
            self.between_events
            and piece.startswith(b"data: ")
            and piece.endswith(b"\n\n")
            and piece.find(b"\n") == len(piece) - 2
            and b"\r" not in piece
        ):
            return [piece[6:-2]]  # what nearly every read holds: one whole event
        return self._feed(piece)

    def finish(self) -> list[bytes]:
        """The event that a server did not close with a blank line before it ended, if any."""
        rest, self._buffer = self._buffer, b""
        if rest:
            self._field(rest)
        return self._dispatch()

    def _feed(self, piece: bytes) -> list[bytes]:
        if self._skip_lf and piece:
            self._skip_lf = False
            if piece[:1] == b"\n":
                piece = piece[1:]
        if b"\r" in piece:
            # A line ends at CR; the LF of a CRLF that is cut in two belongs to it.
            self._skip_lf = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = (self._buffer + piece).split(b"\n")
        self._buffer = lines.pop()
        events: list[bytes] = []
        for line in lines:
            if line:
                self._field(line)
            else:
                events += self._dispatch()
        return events

    def _field(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])

    def _dispatch(self) -> list[bytes]:
        if not self._data:
            return []
        event = b"\n".join(self._data)
        self._data = []
        return [event]
