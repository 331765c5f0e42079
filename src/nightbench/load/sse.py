"""Server-sent events in a stream that was recorded whole. Source: WHATWG HTML, section 9.2.6."""

from __future__ import annotations

import re

# The end of a line, where the line after it is empty: its first byte completes the event.
_LAST_LINE_END = re.compile(rb"\n(?=[\r\n])|\r\n(?=[\r\n])|\r(?=\r)")


def event_end(stream: bytes, start: int) -> int:
    """Where the event that begins at `start` is complete; -1 where it is not."""
    found = _LAST_LINE_END.search(stream, start)
    return found.end() + 1 if found else -1


def event_data(event: bytes) -> bytes | None:
    """What an event's `data` lines say; None where it has none. Other fields are read over."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return event[6:-2]  # one line, as nearly always
    lines = [line[5:] for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(line.removeprefix(b" ") for line in lines) if lines else None
