"""The parser of server-sent events: the same events however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightbench.load.sse import SseParser

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


def parsed(pieces: list[bytes]) -> list[bytes]:
    parser = SseParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.finish()


def test_a_whole_stream_gives_its_events() -> None:
    assert parsed([STREAM]) == EVENTS


def test_every_cut_in_two_gives_the_same_events() -> None:
    for at in range(len(STREAM) + 1):
        assert parsed([STREAM[:at], STREAM[at:]]) == EVENTS


def test_byte_by_byte_gives_the_same_events() -> None:
    assert parsed([STREAM[i : i + 1] for i in range(len(STREAM))]) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_cuts_give_the_same_events(cuts: list[int]) -> None:
    marks = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(marks)]
    assert parsed(pieces) == EVENTS


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_last_event_without_its_blank_line_is_not_lost(end: str) -> None:
    assert parsed([b"data: [DONE]" + end.encode()]) == [b"[DONE]"]
