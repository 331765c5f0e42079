"""Server-sent events: what they say, and with which byte they are complete."""

from __future__ import annotations

import pytest

from nightbench.load.parse.sse import event_end, fields_of

STREAM = (
    ": connected\n\n"
    'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
    'data: {"choices":[{"delta":{"content":"词 é"}}]}\n\n'
    'event: message\r\nid: 7\r\ndata: {"crlf":true}\r\n\r\n'
    'data:{"nospace":1}\n\n'
    "data: two\ndata: lines\n\n"
    "retry: 100\n\n"
    ": keep-alive\n\n"
    "data: cr\r\r"
    "data: [DONE]\n\n"
).encode()
EVENTS = [
    b'{"choices":[{"delta":{"role":"assistant","content":""}}]}',
    '{"choices":[{"delta":{"content":"词 é"}}]}'.encode(),
    b'{"crlf":true}',
    b'{"nospace":1}',
    b"two\nlines",
    b"cr",
    b"[DONE]",
]


def parsed(stream: bytes) -> list[bytes]:
    return [data for _, data in ended(stream)]


def ended(stream: bytes) -> list[tuple[int, bytes]]:
    """Where each event is complete, and its data."""
    events, at = [], 0
    while (end := event_end(stream, at)) >= 0:
        data = fields_of(stream[at:end]).data
        if data is not None:
            events.append((end, data))
        at = end
    return events


def test_a_whole_stream_gives_its_events() -> None:
    assert parsed(STREAM) == EVENTS


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_every_way_to_end_a_line_gives_the_same_events(newline: bytes) -> None:
    lines = STREAM.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert parsed(lines.replace(b"\n", newline)) == EVENTS


def test_an_event_is_complete_with_exactly_its_last_byte() -> None:
    """However the stream is cut, what came before the cut is all that is known."""
    whole = ended(STREAM)
    for cut in range(len(STREAM) + 1):
        assert ended(STREAM[:cut]) == [event for event in whole if event[0] <= cut]


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b": keep-alive\n\n", None),
        (b"data\n\n", None),
        (b"data:x\n\n", b"x"),
        (b"data:  x\n\n", b" x"),
        (b"data: a\nid: 1\ndata: b\n\n", b"a\nb"),
        (b"\ndata: a\n\n", b"a"),
        (b"data: [DONE]", b"[DONE]"),
        (b"data: [DONE]\n", b"[DONE]"),
    ],
)
def test_data_lines_are_the_data(event: bytes, data: bytes | None) -> None:
    assert fields_of(event).data == data
