"""Server-sent events in a stream that was recorded whole. Source: WHATWG HTML, section 9.2.6."""

from __future__ import annotations

import re

from nightbench.untrusted.limits import TooLarge

MOST_LINES = 1_000_000  # of one event
# The end of a line, where the line after it is empty: its first byte completes the event.
_LAST_LINE_END = re.compile(rb"\n(?=[\r\n])|\r\n(?=[\r\n])|\r(?=\r)")


_LINE_ENDS = re.compile(rb"[\r\n]*+")


def next_event(stream: bytes, at: int) -> int:
    """Where the event begins that comes after `at`, empty lines before it read over."""
    found = _LINE_ENDS.match(stream, at)
    return found.end() if found else at


def event_end(stream: bytes, start: int) -> int:
    """Where the event that begins at `start` is complete; -1 where it is not."""
    found = _LAST_LINE_END.search(stream, start)
    return found.end() + 1 if found else -1


def event_data(event: bytes) -> bytes | None:
    """What an event's `data` lines say; None where it has none. Other fields are read over.

    Raises TooLarge for one of more than `MOST_LINES`.
    """
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return event[6:-2]  # one line, as nearly always
    if len(event) > MOST_LINES and event.count(b"\n") + event.count(b"\r") > MOST_LINES:
        raise TooLarge(f"an event of more than {MOST_LINES:,} lines")
    lines = [line[5:] for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(line.removeprefix(b" ") for line in lines) if lines else None
