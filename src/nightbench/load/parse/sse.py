"""Server-sent events in a stream that was recorded whole. Source: WHATWG HTML, section 9.2.6."""

from __future__ import annotations

import re
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Fields:
    """What an event says. `error`: of a line `error: …`, no field, which servers send."""

    data: bytes | None = None
    name: bytes = b""
    error: bytes | None = None


def fields_of(event: bytes) -> Fields:
    """The fields of an event; those that nobody needs are read over.

    Raises TooLarge for one of more than `MOST_LINES`.
    """
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return Fields(event[6:-2])  # one line, as nearly always
    if len(event) > MOST_LINES and event.count(b"\n") + event.count(b"\r") > MOST_LINES:
        raise TooLarge(f"an event of more than {MOST_LINES:,} lines")
    lines = event.splitlines()
    values = {field: _values(lines, field) for field in (b"data", b"event", b"error")}
    # An error that was written as it is, without a field, stands in no other line either.
    bare = [line for line in lines if line.startswith(b"{") and b'"error"' in line]
    errors = values[b"error"] or bare
    return Fields(
        b"\n".join(values[b"data"]) if values[b"data"] else None,
        values[b"event"][-1].strip() if values[b"event"] else b"",
        b"\n".join(errors) if errors else None,
    )


def _values(lines: list[bytes], field: bytes) -> list[bytes]:
    begin = field + b":"
    return [line[len(begin) :].removeprefix(b" ") for line in lines if line.startswith(begin)]
